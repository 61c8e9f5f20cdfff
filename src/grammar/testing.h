// What the tests of grammar/ share: reading texts byte by byte, validating without our code.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "grammar/automaton.h"
#include "grammar/grammar.h"

namespace evo::testing {

/// What becomes of a text: "complete", "incomplete", or "refused at I", the first byte that no text
/// of the grammar goes on with.
inline std::string outcome(const grammar::Grammar& grammar, std::string_view text) {
  grammar::Automaton automaton(grammar.program());
  grammar::Automaton::State state = automaton.start();
  for (size_t i = 0; i < text.size(); ++i) {
    state = automaton.step(state, static_cast<uint8_t>(text[i]));
    if (state == grammar::Automaton::kDead) return fmt::format("refused at {}", i);
  }
  return automaton.complete(state) ? "complete" : "incomplete";
}

/// Whether a value is valid under a JSON Schema, as the specification says it, for the keywords
/// that Grammar knows.
class Validator {
 public:
  using Json = nlohmann::ordered_json;

  /// `root` must outlive this.
  explicit Validator(const Json& root) : root_(root) {}

  [[nodiscard]] bool is_valid(const Json& value) const {
    Known known;
    return is_valid(root_, value, known);
  }

 private:
  /// What was found of a schema and a value. False while they are looked at: what needs itself is
  /// not valid.
  using Known = std::map<std::pair<const Json*, const Json*>, bool>;

  [[nodiscard]] bool is_valid(const Json& schema, const Json& value, Known& known) const {
    const auto [entry, is_new] = known.emplace(std::pair(&schema, &value), false);
    if (is_new) entry->second = find_valid(schema, value, known);
    return entry->second;
  }

  [[nodiscard]] bool find_valid(const Json& schema, const Json& value, Known& known) const {
    if (schema.is_boolean()) return schema.get<bool>();
    const auto valid = [&](const Json& other) { return is_valid(other, value, known); };
    if (schema.contains("$ref")) {
      const auto pointer = schema["$ref"].get<std::string>().substr(1);
      return valid(root_.at(Json::json_pointer(pointer)));
    }
    for (const char* keyword : {"anyOf", "oneOf", "allOf"}) {  // allOf has one
      if (!schema.contains(keyword)) continue;
      const Json& list = schema[keyword];
      if (std::none_of(list.begin(), list.end(), valid)) return false;
    }
    if (schema.contains("const") && schema["const"] != value) return false;
    if (schema.contains("enum") && !has(schema["enum"], value)) return false;
    return is_of_type(schema, value) && in_limits(schema, value) &&
           members_are_valid(schema, value, known) && items_are_valid(schema, value, known);
  }

  static bool has(const Json& list, const Json& value) {
    return std::find(list.begin(), list.end(), value) != list.end();
  }

  static bool is_of_type(const Json& schema, const Json& value) {
    if (!schema.contains("type")) return true;
    const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
    const bool whole = value.is_number() && std::trunc(value.get<double>()) == value.get<double>();
    return has(types, value.type_name()) || (whole && has(types, "integer"));
  }

  static bool in_limits(const Json& schema, const Json& value) {
    using Number = long double;  // has all integers of 64 bits
    const auto limit = [&](const char* keyword, Number otherwise) {
      return schema.contains(keyword) ? schema[keyword].get<Number>() : otherwise;
    };
    if (value.is_string()) {
      const auto text = value.get<std::string>();
      const auto starts = [](char byte) { return (static_cast<uint8_t>(byte) & 0xC0) != 0x80; };
      const auto count = static_cast<Number>(std::count_if(text.begin(), text.end(), starts));
      return count >= limit("minLength", 0) && count <= limit("maxLength", HUGE_VALL);
    }
    if (value.is_array()) {
      const auto count = static_cast<Number>(value.size());
      return count >= limit("minItems", 0) && count <= limit("maxItems", HUGE_VALL);
    }
    if (!value.is_number()) return true;
    const auto number = value.get<Number>();
    return number >= limit("minimum", -HUGE_VALL) && number <= limit("maximum", HUGE_VALL) &&
           number > limit("exclusiveMinimum", -HUGE_VALL) &&
           number < limit("exclusiveMaximum", HUGE_VALL);
  }

  /// The schema of a part; null: there is none.
  static const Json* part_of(const Json& schema, const char* keyword) {
    return schema.contains(keyword) ? &schema[keyword] : nullptr;
  }

  [[nodiscard]] bool members_are_valid(const Json& schema, const Json& value, Known& known) const {
    if (!value.is_object()) return true;
    const Json required = schema.value("required", Json::array());
    const auto is_there = [&](const Json& name) { return value.contains(name); };
    if (!std::all_of(required.begin(), required.end(), is_there)) return false;
    const Json* properties = part_of(schema, "properties");
    const Json* others = part_of(schema, "additionalProperties");
    for (const auto& item : value.items()) {
      const bool is_named = properties != nullptr && properties->contains(item.key());
      const Json* member = is_named ? &(*properties)[item.key()] : others;
      if (member != nullptr && !is_valid(*member, item.value(), known)) return false;
    }
    return true;
  }

  [[nodiscard]] bool items_are_valid(const Json& schema, const Json& value, Known& known) const {
    if (!value.is_array()) return true;
    const Json* first = part_of(schema, "prefixItems");
    const Json* others = part_of(schema, "items");
    for (size_t i = 0; i < value.size(); ++i) {
      const Json* item = first != nullptr && i < first->size() ? &(*first)[i] : others;
      if (item != nullptr && !is_valid(*item, value[i], known)) return false;
    }
    return true;
  }

  const Json& root_;
};

}  // namespace evo::testing
