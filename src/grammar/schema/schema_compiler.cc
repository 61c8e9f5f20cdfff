#include "grammar/schema/schema_compiler.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "grammar/schema/schema_reference.h"

namespace evo::grammar {
namespace {

constexpr const char* kTypes[] = {"null",   "boolean", "object", "array",
                                  "string", "number",  "integer"};

/// Whether a value is of a type of JSON Schema.
bool is_of_type(const Json& value, std::string_view type) {
  if (type == "integer") {
    return value.is_number_integer() ||
           (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>());
  }
  return type == value.type_name();
}

/// The types that a schema names, or that its keywords are about. Without either: none.
std::vector<std::string> types_of(const SchemaNode& node) {
  std::vector<std::string> types;
  if (const Json* type = node.find("type")) {
    types = type->is_string() ? std::vector{type->get<std::string>()} : node.texts("type");
    if (types.empty()) node.refuse("'type' is an empty list, and so nothing is valid");
  } else {
    if (node.has_any({"properties", "required", "additionalProperties"})) types.push_back("object");
    if (node.has_any({"items", "prefixItems", "minItems", "maxItems"})) types.push_back("array");
    if (node.has_any({"minLength", "maxLength"})) types.push_back("string");
    if (node.has_any({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})) {
      types.push_back("number");
    }
  }
  for (const std::string& type : types) {
    if (std::find(std::begin(kTypes), std::end(kTypes), type) == std::end(kTypes)) {
      node.refuse("'type' must be {}, found {}", fmt::join(kTypes, " or "), shown(type));
    }
  }
  if (std::find(types.begin(), types.end(), "number") != types.end()) std::erase(types, "integer");
  return types;
}

}  // namespace

Program SchemaCompiler::compile() {
  const Place& root = add_place(nullptr, "#");
  const RuleId value = rule_of(schema_, root);
  while (!pending_.empty()) {
    const Pending next = pending_.back();
    pending_.pop_back();
    builder_.define(next.rule, describe(*next.schema, *next.place));
  }
  Program program = whole_text(std::move(builder_), value);
  check_satisfiable(program);
  return program;
}

void SchemaCompiler::check_satisfiable(const Program& program) const {
  const Position start = program.starts[program.root];
  if (program.depth_needed[start] != kNever) return;
  std::unordered_map<Position, const Place*> places;
  for (const auto& [rule, place] : rule_places_) places.emplace(program.starts[rule], place);
  const Place* last = nullptr;
  for (const Position position : way_to_dead_end(program, start)) {
    if (const auto found = places.find(position); found != places.end()) last = found->second;
  }
  EVO_CHECK(last != nullptr);
  fail(
      "the schema at '{}': nothing is valid: what it needs is false, needs itself again without "
      "end, or lies more than {} levels deep",
      last->pointer(), kMaxDepth);
}

RuleId SchemaCompiler::rule_of(const Json& schema, const Place& place) {
  const auto [known, is_new] = rules_.try_emplace(&schema, 0);
  if (is_new) {
    known->second = builder_.declare();
    rule_places_.emplace(known->second, &place);
    pending_.push_back({&schema, &place, known->second});
  }
  return known->second;
}

const Place& SchemaCompiler::add_place(const Place* parent, std::string name) {
  return places_.emplace_back(Place{parent, std::move(name)});
}

std::vector<RuleId> SchemaCompiler::rules_of(const SchemaNode& node, const char* keyword) {
  const Place& place = add_place(&node.place(), keyword);
  std::vector<RuleId> rules;
  for (const Json& schema : node.list(keyword)) {
    rules.push_back(rule_of(schema, add_place(&place, std::to_string(rules.size()))));
  }
  return rules;
}

Position SchemaCompiler::describe(const Json& schema, const Place& place) {
  const SchemaNode node(schema, place);
  if (schema.is_boolean() && schema.get<bool>()) return builder_.call(json_.value, kReturn);
  if (schema.is_boolean()) return builder_.split({});
  if (!schema.is_object()) {
    node.refuse("a schema must be an object, true or false, found {}", shown(schema));
  }
  if (node.has("$ref")) return reference(node);
  for (const char* keyword : {"anyOf", "oneOf", "allOf"}) {
    if (node.has(keyword)) return union_of(node, keyword);
  }
  if (node.has_any({"enum", "const"})) return values(node);
  return typed(node);
}

Position SchemaCompiler::reference(const SchemaNode& node) {
  node.expect_only({"$ref"});
  const Json& target = resolve_reference(node, schema_);
  const Place& place = add_place(nullptr, node.find("$ref")->get<std::string>());
  return builder_.call(rule_of(target, place), kReturn);
}

Position SchemaCompiler::union_of(const SchemaNode& node, const char* keyword) {
  node.expect_only({keyword});
  const size_t count = node.list(keyword).size();
  if (count > 1 && std::string_view(keyword) == "allOf") {
    node.refuse("'allOf' of {} schemas is not supported: write one schema that says it all", count);
  }
  if (count > kMostAlternatives) {
    node.refuse("'{}' has {} alternatives, but only {} are supported", keyword, count,
                kMostAlternatives);
  }
  std::vector<Position> alternatives;
  for (const RuleId rule : rules_of(node, keyword)) {
    alternatives.push_back(builder_.call(rule, kReturn));
  }
  return builder_.split(alternatives);
}

Position SchemaCompiler::values(const SchemaNode& node) {
  node.expect_only({"enum", "const", "type"});
  const std::vector<std::string> types = types_of(node);
  std::set<std::string> scalars;
  std::vector<Position> alternatives;
  const auto add = [&](const Json& value) {
    const auto fits = [&](const std::string& type) { return is_of_type(value, type); };
    if (!types.empty() && std::none_of(types.begin(), types.end(), fits)) return;
    if (node.has("enum") && node.has("const") && value != *node.find("const")) return;
    if (value.is_structured()) {
      alternatives.push_back(constant(value));
    } else {
      scalars.insert(value.dump());
    }
  };
  if (!node.has("enum")) {
    add(*node.find("const"));
  } else {
    for (const Json& value : node.list("enum")) add(value);
  }
  if (alternatives.empty() && scalars.empty()) {
    node.refuse("nothing is valid: 'enum', 'const' and 'type' have no value in common");
  }
  if (alternatives.size() > kMostAlternatives) {
    node.refuse("'enum' has {} lists and objects, but only {} are supported", alternatives.size(),
                kMostAlternatives);
  }
  const std::vector<std::string> sorted(scalars.begin(), scalars.end());
  if (!sorted.empty()) alternatives.push_back(builder_.literals(sorted, 0, kReturn));
  return builder_.split(alternatives);
}

/// One value, with the white space that any such value may have. As deep as the schema is.
Position SchemaCompiler::constant(const Json& value) {
  if (value.is_object()) {
    std::vector<Member> members;
    for (const auto& item : value.items()) {
      const RuleId rule = builder_.rule(constant(item.value()));
      members.push_back(
          {builder_.rule(member_of(builder_, json_, Json(item.key()).dump(), rule)), true});
    }
    return object_of(builder_, json_, members, std::nullopt);
  }
  if (value.is_array()) {
    const auto size = static_cast<uint32_t>(value.size());
    ArrayItems items{.rest = json_.value, .low = size, .high = size};
    for (const Json& item : value) items.first.push_back(builder_.rule(constant(item)));
    return array_of(builder_, json_, std::move(items));
  }
  return builder_.literal(value.dump(), kReturn);
}

Position SchemaCompiler::typed(const SchemaNode& node) {
  node.expect_only({"type",
                    "properties",
                    "required",
                    "additionalProperties",
                    "items",
                    "prefixItems",
                    "minItems",
                    "maxItems",
                    "minLength",
                    "maxLength",
                    "minimum",
                    "maximum",
                    "exclusiveMinimum",
                    "exclusiveMaximum",
                    "enum",
                    "const",
                    "anyOf",
                    "oneOf",
                    "allOf",
                    "$ref"});
  const std::vector<std::string> types = types_of(node);
  if (types.empty()) return builder_.call(json_.value, kReturn);
  std::vector<Position> alternatives;
  for (const std::string& type : types) alternatives.push_back(of_type(node, type));
  return builder_.split(alternatives);
}

Position SchemaCompiler::of_type(const SchemaNode& node, const std::string& type) {
  if (type == "object") return object(node);
  if (type == "array") return array(node);
  if (type == "string") return string(node);
  if (type == "integer") return integer(node);
  if (type == "number") return number(node);
  if (type == "null") return builder_.literal("null", kReturn);
  return builder_.split({builder_.literal("true", kReturn), builder_.literal("false", kReturn)});
}

}  // namespace evo::grammar
