// Reading an object of a JSON file whose faults must be named: the path of the field, what it must
// be, what it is.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace evo::tokenizer {

using Json = nlohmann::json;

/// A value as it may appear in a message: on one line, and not too long.
inline std::string shown_json(const Json& value) {
  constexpr size_t kLength = 80;
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > kLength) text = text.substr(0, kLength) + "...";
  return text;
}

/// An object and its place in the file. It must not outlive the document.
class JsonSection {
 public:
  JsonSection(const Json& object, std::string name) : object_(object), name_(std::move(name)) {
    if (!object_.is_object()) fail("'{}' must be an object, found {}", name_, shown_json(object_));
  }

  std::string path(std::string_view key) const {
    return name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key);
  }

  /// Null if the key is missing.
  const Json& get(const char* key) const {
    static const Json kNull;
    const auto found = object_.find(key);
    return found == object_.end() ? kNull : *found;
  }

  const Json& array(const char* key) const {
    const Json& value = get(key);
    if (!value.is_array()) fail("'{}' must be a list, found {}", path(key), shown_json(value));
    return value;
  }

  const Json& object(const char* key) const {
    const Json& value = get(key);
    if (!value.is_object()) fail("'{}' must be an object, found {}", path(key), shown_json(value));
    return value;
  }

  std::string string(const char* key) const {
    const Json& value = get(key);
    if (!value.is_string()) fail("'{}' must be a string, found {}", path(key), shown_json(value));
    return value.get<std::string>();
  }

  /// Of so many bytes at most, so that what repeats it cannot make too much of it.
  std::string string(const char* key, size_t max_bytes) const {
    std::string content = string(key);
    if (content.size() > max_bytes) {
      fail("'{}' has {} bytes, but at most {} are supported", path(key), content.size(), max_bytes);
    }
    return content;
  }

  bool boolean(const char* key, bool fallback) const {
    return get(key).is_null() ? fallback : boolean(key);
  }

  bool boolean(const char* key) const {
    const Json& value = get(key);
    if (!value.is_boolean()) {
      fail("'{}' must be true or false, found {}", path(key), shown_json(value));
    }
    return value.get<bool>();
  }

  JsonSection section(const char* key) const { return {object(key), path(key)}; }

  void expect(const char* key, std::initializer_list<Json> allowed) const {
    const Json& value = get(key);
    for (const Json& one : allowed) {
      if (value == one) return;
    }
    std::string list;
    for (const Json& one : allowed) list += (list.empty() ? "" : " or ") + one.dump();
    fail("'{}' is {}, which is not supported: only {} is", path(key), shown_json(value), list);
  }

 private:
  const Json& object_;
  std::string name_;
};

}  // namespace evo::tokenizer
