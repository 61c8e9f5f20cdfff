// A part of a JSON Schema and where it stands, for errors that name the place.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace evo::grammar {

using Json = nlohmann::ordered_json;

/// A place in a schema, "#/properties/name", as its last part: foreign schemas may have many places
/// below long names.
struct Place {
  const Place* parent = nullptr;
  std::string name;

  [[nodiscard]] std::string pointer() const;  ///< long names are cut
};

/// A schema that is an object. What it refers to must outlive it.
class SchemaNode {
 public:
  SchemaNode(const Json& json, const Place& place) : json_(json), place_(place) {}

  [[nodiscard]] const Json& json() const { return json_; }
  [[nodiscard]] const Place& place() const { return place_; }

  [[nodiscard]] bool has(const char* keyword) const { return json_.contains(keyword); }
  [[nodiscard]] bool has_any(std::initializer_list<const char*> keywords) const;
  /// Null if the keyword is not there.
  [[nodiscard]] const Json* find(const char* keyword) const;

  /// The keyword's value, or `otherwise`; an Error unless it is a number of things.
  [[nodiscard]] uint32_t count(const char* keyword, uint32_t otherwise) const;
  /// Error unless `low` <= `high`, which are the values of two keywords.
  void check_order(const char* low, const char* high, uint32_t low_count,
                   uint32_t high_count) const;
  /// The value of a keyword that must be of such a type; an Error if it is not.
  [[nodiscard]] const Json& list(const char* keyword) const;
  [[nodiscard]] const Json& object(const char* keyword) const;
  /// A list of different texts.
  [[nodiscard]] std::vector<std::string> texts(const char* keyword) const;

  /// Error for a keyword that asserts something and is not among `known`.
  void expect_only(std::initializer_list<const char*> known) const;

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail("the schema at '{}': {}", place_.pointer(),
         fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  [[noreturn]] void refuse_value(const char* keyword, const char* expected) const;

  const Json& json_;
  const Place& place_;
};

/// A value as it may appear in a message.
[[nodiscard]] std::string shown(const Json& value);

}  // namespace evo::grammar
