// The members of a JSON object that a client sent: each is looked up by name and checked, and what
// nobody asked for is known in the end.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace evo::serve {

using Json = nlohmann::ordered_json;

class Fields {
 public:
  /// `path` precedes the names in errors: "stream_options.". Throws RequestError (400) if `value`
  /// is no object.
  explicit Fields(const Json& value, std::string path = "");
  /// Of a request's body.
  static Json parse(std::string_view body);

  /// Null if the member is not there, or null.
  const Json* find(const char* name);

  /// The member, or `otherwise` if there is none. Throw RequestError (400) that names it for
  /// another type or a value outside [low, high].
  bool flag(const char* name, bool otherwise);
  int64_t whole(const char* name, int64_t otherwise, int64_t low, int64_t high);
  double number(const char* name, double otherwise, double low, double high);
  std::string text(const char* name, const std::string& otherwise = "");

  /// Throws the error of a member that must be something else.
  [[noreturn]] void refuse(const char* name, const std::string& expected) const;
  /// Of a member whose value is not supported.
  [[noreturn]] void refuse_as_unsupported(const char* name, const std::string& advice) const;

  /// Members that were not looked for.
  [[nodiscard]] std::vector<std::string> unknown() const;

 private:
  const Json& value_;
  std::string path_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace evo::serve
