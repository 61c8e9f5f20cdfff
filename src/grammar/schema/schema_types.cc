// Schemas that say what type a value has.
#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "grammar/schema/schema_compiler.h"

namespace evo::grammar {
namespace {

constexpr size_t kLongestName = 256;  // bytes; of a property

/// One more than what is written, so that limits beyond it leave nothing.
constexpr int64_t kBeyond = kMostInteger + 1;

/// A limit of integers, rounded to one: up or down.
int64_t limit(const SchemaNode& node, const char* keyword, bool up) {
  const Json& value = *node.find(keyword);
  if (!value.is_number()) node.refuse("'{}' must be a number, found {}", keyword, shown(value));
  if (value.is_number_float()) {
    const double number = value.get<double>(),
                 rounded = up ? std::ceil(number) : std::floor(number);
    constexpr auto kMost = static_cast<double>(kBeyond);
    return static_cast<int64_t>(std::clamp(rounded, -kMost, kMost));
  }
  if (value.is_number_unsigned()) {
    return static_cast<int64_t>(std::min<uint64_t>(value.get<uint64_t>(), kBeyond));
  }
  return std::max(value.get<int64_t>(), -kBeyond);
}

}  // namespace

Position SchemaCompiler::string(const SchemaNode& node) {
  const uint32_t low = node.count("minLength", 0), high = node.count("maxLength", kUnbounded);
  node.check_order("minLength", "maxLength", low, high);
  if (low == 0 && high == kUnbounded) return builder_.call(json_.string, kReturn);
  return string_of(builder_, json_, low, high);
}

Position SchemaCompiler::number(const SchemaNode& node) {
  for (const char* keyword : {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}) {
    if (node.has(keyword)) {
      node.refuse("'{}' is supported for integers only: use \"type\": \"integer\", or leave it out",
                  keyword);
    }
  }
  return builder_.call(json_.number, kReturn);
}

Position SchemaCompiler::integer(const SchemaNode& node) {
  int64_t low = -kMostInteger, high = kMostInteger;
  if (node.has("minimum")) low = std::max(low, limit(node, "minimum", true));
  if (node.has("exclusiveMinimum")) low = std::max(low, limit(node, "exclusiveMinimum", false) + 1);
  if (node.has("maximum")) high = std::min(high, limit(node, "maximum", false));
  if (node.has("exclusiveMaximum"))
    high = std::min(high, limit(node, "exclusiveMaximum", true) - 1);
  if (low > high) {
    node.refuse("nothing is valid: its limits leave no integer of at most 18 digits");
  }
  if (low == -kMostInteger && high == kMostInteger) return builder_.call(json_.integer, kReturn);
  return integer_between(builder_, low, high);
}

std::optional<RuleId> SchemaCompiler::other_values(const SchemaNode& node) {
  if (const Json* schema = node.find("additionalProperties")) {
    if (schema->is_boolean() && !schema->get<bool>()) return std::nullopt;
    return rule_of(*schema, add_place(&node.place(), "additionalProperties"));
  }
  if (node.has_any({"properties", "required"})) return std::nullopt;
  return json_.value;
}

/// The properties of an object and whether they are required: those with a schema, then others that
/// are required.
std::vector<SchemaCompiler::Property> SchemaCompiler::properties_of(const SchemaNode& node) {
  std::vector<std::string> required;
  if (node.has("required")) required = node.texts("required");
  std::set<std::string> missing(required.begin(), required.end());
  std::vector<Property> properties;
  if (node.has("properties")) {
    const Place& place = add_place(&node.place(), "properties");
    for (const auto& item : node.object("properties").items()) {
      const RuleId value = rule_of(item.value(), add_place(&place, item.key()));
      properties.push_back({item.key(), value, missing.erase(item.key()) > 0});
    }
  }
  for (const std::string& name : required) {
    if (!missing.contains(name)) continue;
    if (node.has("additionalProperties") && !other_values(node)) {
      node.refuse(
          "nothing is valid: 'required' has {}, which 'properties' has not, and "
          "'additionalProperties' is false",
          shown(name));
    }
    properties.push_back({name, other_values(node).value_or(json_.value), true});
  }
  return properties;
}

Position SchemaCompiler::object(const SchemaNode& node) {
  std::vector<Member> members;
  std::vector<std::string> names;
  size_t optional = 0;
  for (const Property& property : properties_of(node)) {
    if (property.name.size() > kLongestName) {
      node.refuse("a property's name has {} bytes, but only {} are supported", property.name.size(),
                  kLongestName);
    }
    const std::string name = Json(property.name).dump();
    const RuleId rule = builder_.rule(member_of(builder_, json_, name, property.value));
    members.push_back({rule, property.required});
    names.push_back(property.name);
    if (!property.required) ++optional;
  }
  if (optional > kMostAlternatives) {
    node.refuse("{} properties are not in 'required', but only {} such are supported", optional,
                kMostAlternatives);
  }
  std::optional<RuleId> more;
  if (const std::optional<RuleId> value = other_values(node)) {
    std::sort(names.begin(), names.end());
    more = builder_.rule(other_member(builder_, json_, names, *value));
  }
  return object_of(builder_, json_, members, more);
}

Position SchemaCompiler::array(const SchemaNode& node) {
  ArrayItems items{.rest = json_.value,
                   .low = node.count("minItems", 0),
                   .high = node.count("maxItems", kUnbounded)};
  node.check_order("minItems", "maxItems", items.low, items.high);
  if (node.has("prefixItems")) items.first = rules_of(node, "prefixItems");
  if (const Json* rest = node.find("items")) {
    if (rest->is_array()) {
      node.refuse("'items' is a list, which is not supported: use 'prefixItems'");
    }
    items.rest = rule_of(*rest, add_place(&node.place(), "items"));
  }
  return array_of(builder_, json_, std::move(items));
}

}  // namespace evo::grammar
