#include "serve/api/fields.h"

#include <cmath>

#include "json/json_text.h"
#include "serve/api/request_error.h"

namespace evo::serve {
namespace {

/// With bytes that are not UTF-8 replaced: it goes into an error's JSON.
std::string shown(const Json& value) {
  return json::shortened(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

Fields::Fields(const Json& value, std::string path) : value_(value), path_(std::move(path)) {
  if (value.is_object()) return;
  const std::string name = path_.empty() ? "the request" : path_.substr(0, path_.size() - 1);
  throw RequestError(kBadRequest,
                     fmt::format("{}: expected a JSON object, found {}", name, shown(value)),
                     path_.empty() ? "" : name);
}

Json Fields::parse(std::string_view body) {
  try {
    return json::parse_json(body, "the request");
  } catch (const Error& error) {
    throw RequestError(kBadRequest, error.what(), "", "invalid_json");
  }
}

const Json* Fields::find(const char* name) {
  known_.insert(name);
  const auto found = value_.find(name);
  return found == value_.end() || found->is_null() ? nullptr : &*found;
}

bool Fields::flag(const char* name, bool otherwise) {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) refuse(name, "true or false");
  return value->get<bool>();
}

int64_t Fields::whole(const char* name, int64_t otherwise, int64_t low, int64_t high) {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  const std::string expected = fmt::format("a whole number from {} to {}", low, high);
  // Beyond 2^53 a number with a point or an exponent need not be whole.
  const bool is_whole = value->is_number_integer() ||
                        (value->is_number_float() && std::abs(value->get<double>()) <= 0x1p53 &&
                         std::trunc(value->get<double>()) == value->get<double>());
  const bool too_large =
      value->is_number_unsigned() && !std::in_range<int64_t>(value->get<uint64_t>());
  if (!is_whole || too_large) refuse(name, expected);
  const auto result = value->get<int64_t>();
  if (result < low || result > high) refuse(name, expected);
  return result;
}

double Fields::number(const char* name, double otherwise, double low, double high) {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  const bool fits =
      value->is_number() && value->get<double>() >= low && value->get<double>() <= high;
  if (!fits) refuse(name, fmt::format("a number from {} to {}", low, high));
  return value->get<double>();
}

std::string Fields::text(const char* name, const std::string& otherwise) {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_string()) refuse(name, "a text");
  return value->get<std::string>();
}

void Fields::refuse(const char* name, const std::string& expected) const {
  const auto found = value_.find(name);
  const std::string value = found == value_.end() ? "nothing" : shown(*found);
  throw RequestError(kBadRequest,
                     fmt::format("{}{}: expected {}, found {}", path_, name, expected, value),
                     path_ + name, "invalid_value");
}

void Fields::refuse_as_unsupported(const char* name, const std::string& advice) const {
  throw RequestError(kBadRequest, fmt::format("{}{} is not supported yet: {}", path_, name, advice),
                     path_ + name, "unsupported_parameter");
}

std::vector<std::string> Fields::unknown() const {
  std::vector<std::string> names;
  for (const auto& item : value_.items()) {
    if (!known_.contains(item.key())) names.push_back(path_ + item.key());
  }
  return names;
}

}  // namespace evo::serve
