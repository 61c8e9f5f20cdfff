// Schemas that are refused: unsupported, contradictory, hostile.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "base/testing.h"
#include "grammar/testing.h"

namespace evo::grammar {
namespace {

void expect_refused(const std::string& schema, std::initializer_list<std::string_view> parts) {
  SCOPED_TRACE(schema.substr(0, 200));
  testing::expect_error([&] { (void)Grammar::from_json_schema(schema); }, parts);
}

TEST(SchemaError, NoSchema) {
  expect_refused("", {"the schema", "not valid JSON"});
  expect_refused("{", {"not valid JSON"});
  expect_refused("{\"a\xFF\": 1}", {"not valid JSON"});
  expect_refused(R"({"type": "null", "type": "null"})", {"\"type\"", "twice"});
  expect_refused("null", {"'#'", "object, true or false", "null"});
  expect_refused(R"({"items": 3})", {"'#/items'", "object, true or false", "3"});
  expect_refused(R"({"properties": {"a/b~": {"items": []}}})",
                 {"'#/properties/a~1b~0'", "prefixItems"});
}

TEST(SchemaError, UnsupportedKeywordsAreNamed) {
  for (const char* keyword : {"pattern",
                              "multipleOf",
                              "uniqueItems",
                              "contains",
                              "minContains",
                              "maxContains",
                              "minProperties",
                              "maxProperties",
                              "patternProperties",
                              "propertyNames",
                              "dependentRequired",
                              "dependentSchemas",
                              "unevaluatedProperties",
                              "unevaluatedItems",
                              "if",
                              "then",
                              "else",
                              "not",
                              "$dynamicRef",
                              "$anchor",
                              "$id",
                              "nullable",
                              "propertys"}) {
    expect_refused(
        fmt::format(R"({{"properties": {{"a": {{"{}": {{}}}}}}}})", keyword),
        {"'#/properties/a'", fmt::format("\"{}\" is not supported", keyword), "minItems"});
  }
  expect_refused(R"({"$ref": "#/$defs/a", "minLength": 3, "$defs": {"a": {}}})", {"\"minLength\""});
  expect_refused(R"({"anyOf": [{}], "type": "string"})", {"\"type\"", "only anyOf are"});
  expect_refused(R"({"enum": ["a"], "minLength": 3})", {"\"minLength\"", "enum, const, type"});
  expect_refused(R"({"allOf": [{"type": "object"}, {"required": ["a"]}]})", {"'allOf' of 2"});
  expect_refused(R"({"type": "number", "minimum": 0})", {"'minimum'", "integers only"});
  expect_refused(R"({"exclusiveMaximum": 0})", {"'exclusiveMaximum'", "integers only"});
}

TEST(SchemaError, ValuesOfTheWrongType) {
  expect_refused(R"({"type": "text"})", {"'type' must be null or", "integer, found \"text\""});
  expect_refused(R"({"type": ["string", 1]})", {"'type' must be a list of texts"});
  expect_refused(R"({"type": []})", {"nothing is valid"});
  expect_refused(R"({"type": 1})", {"'type'"});
  expect_refused(R"({"minLength": -1})", {"'minLength'", "from 0 to", "-1"});
  expect_refused(R"({"maxItems": 1.5})", {"'maxItems'", "1.5"});
  expect_refused(R"({"maxLength": 18446744073709551615})", {"'maxLength'", "1000000000"});
  expect_refused(R"({"type": "integer", "minimum": "1"})", {"'minimum' must be a number"});
  expect_refused(R"({"type": "integer", "exclusiveMinimum": true})",
                 {"'exclusiveMinimum'", "true"});
  expect_refused(R"({"properties": []})", {"'properties' must be an object"});
  expect_refused(R"({"required": "a"})", {"'required' must be a list of texts"});
  expect_refused(R"({"enum": []})", {"'enum'", "not empty"});
  expect_refused(R"({"anyOf": {}})", {"'anyOf'", "not empty"});
  expect_refused(R"({"prefixItems": {}})", {"'prefixItems'"});
  expect_refused(R"({"$ref": 1})", {"'$ref'", "#/$defs/name", "1"});
}

TEST(SchemaError, References) {
  expect_refused(R"({"$ref": "https://example.com/a.json"})", {"'$ref'", "in this schema"});
  expect_refused(R"({"$ref": "other.json#/a"})", {"in this schema"});
  for (const char* nowhere : {"#/$defs/a", "#a", "#/allOf/0", "#/~2", "#/$defs/-"}) {
    expect_refused(fmt::format(R"({{"$ref": "{}", "$defs": []}})", nowhere),
                   {"nothing there", nowhere});
  }
  expect_refused(R"({"required": ["a"], "properties": {"a": {"$ref": "#/required"}}})",
                 {"'#/required'", "object, true or false"});
}

TEST(SchemaError, Contradictions) {
  expect_refused("false", {"'#'", "nothing is valid"});
  expect_refused(R"({"minLength": 3, "maxLength": 2})", {"'minLength' is 3", "'maxLength' only 2"});
  expect_refused(R"({"minItems": 3, "maxItems": 2})", {"'minItems' is 3"});
  expect_refused(R"({"type": "integer", "minimum": 3, "maximum": 2})", {"nothing is valid"});
  expect_refused(R"({"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 3})",
                 {"nothing is valid"});
  expect_refused(R"({"type": "integer", "minimum": 1e18})", {"nothing is valid"});
  expect_refused(R"({"type": "integer", "maximum": -9000000000000000000})", {"nothing is valid"});
  expect_refused(R"({"type": "integer", "minimum": 18446744073709551615})", {"nothing is valid"});
  expect_refused(R"({"type": "string", "enum": [1, null]})", {"nothing is valid", "'type'"});
  expect_refused(R"({"enum": [1, 2], "const": 3})", {"nothing is valid"});
  expect_refused(R"({"required": ["a"], "additionalProperties": false, "properties": {"b": {}}})",
                 {"'required' has \"a\"", "additionalProperties"});
  expect_refused(R"({"required": ["a"], "properties": {"b": false, "a": false}})",
                 {"'#/properties/a'", "nothing is valid"});
  expect_refused(R"({"items": false, "minItems": 1})", {"'#/items'"});
  expect_refused(R"({"anyOf": [false, false]})", {"'#/anyOf/1'"});
}

TEST(SchemaError, RecursionWithoutEnd) {
  expect_refused(R"({"$ref": "#"})", {"'#'", "nothing is valid", "without end"});
  expect_refused(
      R"({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}})",
      {"'#/$defs/", "without end"});
  expect_refused(
      R"({"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}})",
      {"'#/properties/next'", "without end"});
  expect_refused(R"({"minItems": 1, "items": {"$ref": "#"}})", {"'#/items'"});
  // Not without end, but deeper than 64: lists that hold each other.
  std::string schema = R"({"$ref": "#/$defs/0", "$defs": {)";
  for (int i = 0; i < 64; ++i) {
    schema +=
        fmt::format(R"("{}": {{"minItems": 1, "items": {{"$ref": "#/$defs/{}"}}}}, )", i, i + 1);
  }
  expect_refused(schema + R"("64": {"type": "null"}}})", {"63 levels"});
}

/// Seconds that `fn` takes.
template <class Fn>
double seconds(const Fn& fn) {
  const auto start = std::chrono::steady_clock::now();
  fn();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// part(0), part(1) ...
template <class Part>
std::string repeated(int count, const Part& part) {
  std::string text = part(0);
  for (int i = 1; i < count; ++i) text.append(",").append(part(i));
  return text;
}

// What follows takes milliseconds each; the limits are for machines that are busy.
constexpr double kSoon = 5;

TEST(SchemaError, HostileSizes) {
  const std::pair<std::string, const char*> cases[] = {
      {std::string(300'000, ' '), "300000 bytes"},
      {std::string(100'000, '['), "nested more than"},
      {R"({"prefixItems": [)" +
           repeated(3500,
                    [](int i) {
                      return fmt::format(
                          R"({{"type": "integer", "minimum": {}, "maximum": 98765432101}})",
                          1234567 + i);
                    }) +
           "]}",
       "too large"},
      {R"({"enum": [)" + repeated(300, [](int i) { return fmt::format("[{}]", i); }) + "]}",
       "300 lists and objects"},
      {R"({"anyOf": [)" + repeated(300, [](int) { return "{}"; }) + "]}", "300 alternatives"},
      {R"({"properties": {)" + repeated(300, [](int i) { return fmt::format("\"{}\": {{}}", i); }) +
           "}}",
       "300 properties"},
      {R"({"properties": {")" + std::string(300, 'a') + R"(": {}}})", "has 300 bytes"},
      {R"({"items": {"x)" + std::string(200'000, 'a') + "\": 1}}", "'#/items'"},
  };
  for (const auto& [schema, part] : cases) {
    EXPECT_LT(seconds([&] { expect_refused(schema, {part}); }), kSoon);
  }
}

TEST(SchemaError, LongChainsOfReferences) {
  const auto chain = [](const char* last) {
    return R"({"$ref": "#/$defs/0", "$defs": {)" +
           repeated(
               5000,
               [](int i) { return fmt::format(R"("{}": {{"$ref": "#/$defs/{}"}})", i, i + 1); }) +
           fmt::format(R"(, "5000": {}}}}})", last);
  };
  EXPECT_LT(seconds([&] {
              const Grammar grammar = Grammar::from_json_schema(chain(R"({"type": "null"})"));
              EXPECT_EQ(testing::outcome(grammar, "null"), "complete");
            }),
            kSoon);
  EXPECT_LT(seconds([&] { expect_refused(chain(R"({"$ref": "#"})"), {"without end"}); }), kSoon);
}

/// Lists that can be read in two ways at every level: 2^63 readings.
TEST(SchemaError, AmbiguityIsBounded) {
  const Grammar grammar = Grammar::from_json_schema(
      R"({"anyOf": [{"type": "array", "items": {"$ref": "#"}, "maxItems": 5},
                    {"type": "array", "items": {"$ref": "#"}, "maxItems": 6}]})");
  const std::string text = std::string(60, '[') + std::string(60, ']');
  EXPECT_LT(seconds([&] { EXPECT_EQ(testing::outcome(grammar, text), "complete"); }), kSoon);
}

}  // namespace
}  // namespace evo::grammar
