#include "template/json.h"

#include "template/budget.h"

namespace evo::jinja {
namespace {

Value value_of(const nlohmann::ordered_json& json) {
  if (json.is_null()) return {};
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_unsigned() && json.get<uint64_t>() > INT64_MAX) return json.get<double>();
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_array()) {
    Items items;
    for (const auto& item : json) items.push_back(value_of(item));
    return Value::list(std::move(items));
  }
  std::vector<Entry> entries;
  for (const auto& [key, item] : json.items()) entries.emplace_back(Value(key), value_of(item));
  return Value::dict(std::move(entries));
}

}  // namespace

Value from_json(const nlohmann::ordered_json& json) {
  try {
    return value_of(json);
  } catch (const Fault& fault) {
    fail("JSON for a template: {}", fault.message);
  }
}

}  // namespace evo::jinja
