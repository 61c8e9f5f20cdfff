// Which texts schemas allow.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "grammar/testing.h"

namespace evo::grammar {
namespace {

using testing::outcome;
using Json = nlohmann::ordered_json;

void expect_outcomes(const std::string& schema, const std::vector<std::string>& complete,
                     const std::vector<std::pair<std::string, std::string>>& others) {
  SCOPED_TRACE(schema);
  const Grammar grammar = Grammar::from_json_schema(schema);
  const Json json = Json::parse(schema);
  const testing::Validator validator(json);
  for (const std::string& text : complete) {
    EXPECT_EQ(outcome(grammar, text), "complete") << text;
    EXPECT_TRUE(validator.is_valid(Json::parse(text))) << text;
    for (size_t length = 0; length < text.size(); ++length) {
      EXPECT_FALSE(outcome(grammar, text.substr(0, length)).starts_with("refused")) << text;
    }
  }
  for (const auto& [text, expected] : others) EXPECT_EQ(outcome(grammar, text), expected) << text;
}

TEST(Schema, Types) {
  expect_outcomes(R"({"type": "null"})", {"null", " null"}, {{"true", "refused at 0"}});
  expect_outcomes(R"({"type": "boolean"})", {"true", "false"}, {{"null", "refused at 0"}});
  expect_outcomes(R"({"type": "integer"})", {"0", "-1", "120"},
                  {{"01", "refused at 1"}, {"-0", "refused at 1"}, {"1.0", "refused at 1"}});
  expect_outcomes(R"({"type": "number"})", {"0", "-0.5", "1e5"}, {{"\"1\"", "refused at 0"}});
  expect_outcomes(R"({"type": ["string", "null"]})", {"\"\"", "null"}, {{"1", "refused at 0"}});
  expect_outcomes(R"({"type": ["integer", "number"]})", {"1", "1.5"}, {{"n", "refused at 0"}});
  expect_outcomes("{}", {"1", "\"x\"", "[1,{}]", "{\"a\":null}"}, {{"x", "refused at 0"}});
  expect_outcomes("true", {"1"}, {});
}

TEST(Schema, StringsCountCharacters) {
  expect_outcomes(R"({"type": "string", "minLength": 1, "maxLength": 2})",
                  {"\"a\"", "\"\u6771\u4EAC\"", R"("\n\ud83d\ude00")", "\"\U0001F600x\""},
                  {{"\"\"", "refused at 1"},
                   {"\"abc\"", "refused at 3"},
                   {R"("\ud83d\ude00\n\n")", "refused at 15"}});
  expect_outcomes(R"({"minLength": 2})", {"\"ab\"", "\"abcdef\""}, {{"\"a\"", "refused at 2"}});
  expect_outcomes(R"({"maxLength": 0})", {"\"\""}, {{"\"a", "refused at 1"}});
}

TEST(Schema, IntegersInLimits) {
  // Against counting: every number near the limits, by several schemas.
  const std::pair<int, int> limits[] = {{0, 0},      {3, 7},     {-5, 5},    {17, 234},
                                        {100, 999},  {99, 101},  {-321, -7}, {-1000, -1},
                                        {999, 1000}, {-12, 1200}};
  for (const auto& [low, high] : limits) {
    const Grammar grammar = Grammar::from_json_schema(
        fmt::format(R"({{"type": "integer", "minimum": {}, "maximum": {}}})", low, high));
    for (int number = -1500; number <= 1500; ++number) {
      const bool valid = low <= number && number <= high;
      ASSERT_EQ(outcome(grammar, std::to_string(number)) == "complete", valid)
          << number << " in " << low << ".." << high;
    }
  }
  expect_outcomes(R"({"type": "integer", "minimum": -0.5, "exclusiveMaximum": 2})", {"0", "1"},
                  {{"2", "refused at 0"}, {"-", "refused at 0"}});
  expect_outcomes(R"({"type": "integer", "exclusiveMinimum": 8.5, "maximum": 10.9})", {"9", "10"},
                  {{"8", "refused at 0"}, {"11", "refused at 1"}});
  expect_outcomes(R"({"type": "integer", "minimum": 5})", {"5", "123456789012345678"},
                  {{"4", "incomplete"}, {"-5", "refused at 0"}});
  expect_outcomes(R"({"type": "integer", "maximum": 18446744073709551615})", {"5"}, {});
}

TEST(Schema, PropertiesComeInOrder) {
  const char* schema = R"({"type": "object", "required": ["b"], "additionalProperties": false,
      "properties": {"a": {"type": "integer"}, "b": {"type": "null"}, "c": {"const": 1}}})";
  expect_outcomes(schema,
                  {R"({"a":1,"b":null,"c":1})", R"({"b":null})", R"({"a":1, "b": null})",
                   R"({"b":null,"c":1})", "{\n  \"a\": 1,\n  \"b\": null\n}"},
                  {{R"({})", "refused at 1"},
                   {R"({"a":1})", "refused at 6"},
                   {R"({"c":1})", "refused at 2"},
                   {R"({"b":null,"a":1})", "refused at 11"},
                   {R"({"b":null,"b":null})", "refused at 11"},
                   {R"({"b":null,})", "refused at 10"},
                   {R"({"\u0061":1,"b":null})", "refused at 2"}});
  expect_outcomes(R"({"properties": {}})", {"{}", "{ }"}, {{R"({"a":1})", "refused at 1"}});
  expect_outcomes(R"({"properties": {"a\"\u00e9/": {"type": "null"}}})",
                  {"{\"a\\\"\u00E9/\":null}"}, {{"{\"a\\u", "refused at 4"}});
}

TEST(Schema, OtherProperties) {
  expect_outcomes(R"({"type": "object"})", {"{}", R"({"a":[1]})"}, {{"[]", "refused at 0"}});
  expect_outcomes(R"({"required": ["a"]})", {R"({"a":[1]})"}, {{R"({"b":1})", "refused at 2"}});
  expect_outcomes(R"({"required": ["z"], "additionalProperties": {"type": "null"}})",
                  {R"({"z":null,"b":null})"}, {{R"({"z":1)", "refused at 5"}});
  // Other names are none of those named, however they are spelled.
  expect_outcomes(R"({"properties": {"ab": {"const": 1}, "n": {"const": 3}, "ac": {"const": 2}},
                      "additionalProperties": {"type": "null"}})",
                  {R"({})", R"({"ab":1,"n":3,"x":null,"y":null})", R"({"":null})", R"({"a":null})",
                   R"({"abc":null})", R"({"ad":null})", R"({"x\u0061":null})", "{\"\u00E9\":null}",
                   R"({"b\n":null})"},
                  {{R"({"ab":null})", "refused at 6"},
                   {R"({"x":null,"ab":null})", "refused at 13"},
                   {R"({"x":null,"ac":null})", "refused at 13"},
                   {R"({"x":null,"n":3})", "refused at 12"},
                   {R"({"x":null,"\u006E":null})", "refused at 11"},
                   {R"({"x":null,"a\u0062":null})", "refused at 12"},
                   {R"({"x":1})", "refused at 5"}});
  expect_outcomes(
      "{\"properties\": {\"a\\\"\": {}, \"\u00E9\": {}}, \"additionalProperties\": true}",
      {R"({"x":1})", R"({"a":1})", R"({"ab":1})"},
      {{R"({"x":1,"a\")", "refused at 9"}, {"{\"x\":1,\"\u00E9", "refused at 8"}});
}

TEST(Schema, Arrays) {
  expect_outcomes(R"({"type": "array", "items": {"type": "integer"}})",
                  {"[]", "[ ]", "[1]", "[1, 2,3]", "[\n  1,\n  2\n]"},
                  {{"[null]", "refused at 1"}, {"[1,]", "refused at 3"}});
  expect_outcomes(R"({"minItems": 2, "maxItems": 3, "items": {"const": 1}})", {"[1,1]", "[1,1,1]"},
                  {{"[]", "refused at 1"}, {"[1]", "refused at 2"}, {"[1,1,1,", "refused at 6"}});
  expect_outcomes(R"({"maxItems": 0})", {"[]"}, {{"[1", "refused at 1"}});
  expect_outcomes(R"({"maxItems": 1})", {"[]", "[[1]]"}, {{"[1,", "refused at 2"}});
  expect_outcomes(R"({"minItems": 1})", {"[1]", "[1,2,3,4]"}, {{"[]", "refused at 1"}});
  expect_outcomes(R"({"prefixItems": [{"const": 1}, {"const": 2}], "items": {"const": 3}})",
                  {"[]", "[1]", "[1,2]", "[1,2,3,3]"},
                  {{"[2", "refused at 1"}, {"[1,3", "refused at 3"}, {"[1,2,2", "refused at 5"}});
  expect_outcomes(R"({"prefixItems": [{"const": 1}, {"const": 2}], "items": false, "minItems": 1})",
                  {"[1]", "[1,2]"}, {{"[]", "refused at 1"}, {"[1,2,", "refused at 4"}});
  expect_outcomes(R"({"prefixItems": [{"const": 1}, {"const": 2}], "maxItems": 1})", {"[]", "[1]"},
                  {{"[1,", "refused at 2"}});
  expect_outcomes(R"({"prefixItems": [{"const": 1}], "minItems": 3, "items": {"const": 2}})",
                  {"[1,2,2]", "[1,2,2,2]"}, {{"[1,2]", "refused at 4"}});
}

TEST(Schema, EnumAndConst) {
  expect_outcomes(
      R"({"enum": ["red", "redder", "green", "", null, 1, 10, true, "a\"\u00e9"]})",
      {"\"red\"", "\"redder\"", "\"green\"", "\"\"", "null", "1", "10", "true", "\"a\\\"\u00E9\""},
      {{"\"redd\"", "refused at 5"},
       {"2", "refused at 0"},
       {"100", "refused at 2"},
       {"\"r\\", "refused at 2"}});
  expect_outcomes(R"({"type": "string", "enum": ["a", 1]})", {"\"a\""}, {{"1", "refused at 0"}});
  expect_outcomes(R"({"type": "integer", "enum": [1, 2.0, 2.5]})", {"1", "2.0"},
                  {{"2.5", "refused at 2"}});
  expect_outcomes(R"({"const": {"a": [1, {}], "b": []}})",
                  {R"({"a":[1,{}],"b":[]})", R"({ "a": [ 1, { } ], "b": [ ] })"},
                  {{R"({"a":[1,{"x)", "refused at 9"}, {R"({"b")", "refused at 2"}});
  expect_outcomes(R"({"enum": [[1, 2], [1, 3]]})", {"[1,2]", "[1, 3]"}, {{"[1]", "refused at 2"}});
}

TEST(Schema, Unions) {
  expect_outcomes(
      R"({"anyOf": [{"type": "object", "required": ["kind", "x"], "properties":
                        {"kind": {"const": "a"}, "x": {"type": "integer"}}},
                       {"type": "object", "required": ["kind", "y"], "properties":
                        {"kind": {"const": "ab"}, "y": {"type": "null"}}}]})",
      {R"({"kind":"a","x":1})", R"({"kind":"ab","y":null})"},
      {{R"({"kind":"a","y")", "refused at 13"}, {R"({"kind":"ab","x")", "refused at 14"}});
  expect_outcomes(R"({"oneOf": [{"type": "integer"}, {"type": "number"}, {"const": 12}]})",
                  {"1", "1.5", "12"}, {{"\"", "refused at 0"}});
  expect_outcomes(R"({"allOf": [{"type": "null"}], "title": "t", "default": 1, "x-order": 2})",
                  {"null"}, {{"1", "refused at 0"}});
  expect_outcomes(R"({"anyOf": [false, {"type": "null"}]})", {"null"}, {{"1", "refused at 0"}});
}

TEST(Schema, References) {
  expect_outcomes(R"({"$ref": "#/$defs/a/b~1~0", "$defs": {"a": {"b/~": {"type": "null"}}}})",
                  {"null"}, {});
  const Grammar quoted = Grammar::from_json_schema(
      R"({"$ref": "#/$defs/a%20%3cb%3E%", "$defs": {"a <b>%": {"type": "null"}}})");
  EXPECT_EQ(outcome(quoted, "null"), "complete");
  expect_outcomes(R"({"properties": {"a": {"type": "integer"}, "b": {"$ref": "#/properties/a"}}})",
                  {R"({"a":1,"b":2})"}, {{R"({"b":"x)", "refused at 5"}});
  expect_outcomes(R"({"type": "object", "required": ["value"], "additionalProperties": false,
                      "properties": {"value": {"type": "integer"}, "next": {"$ref": "#"}}})",
                  {R"({"value":1})", R"({"value":1,"next":{"value":2,"next":{"value":3}}})"},
                  {{R"({"value":1,"next":{})", "refused at 19"}});
  // In a circle that reads nothing.
  const Grammar circle = Grammar::from_json_schema(
      R"({"anyOf": [{"$ref": "#"}, {"anyOf": [{"$ref": "#"}, {"type": "null"}]}]})");
  EXPECT_EQ(outcome(circle, "null"), "complete");
  EXPECT_EQ(outcome(circle, "1"), "refused at 0");
}

/// Whatever is deeper than the limit would be a dead end: it is not begun.
TEST(Schema, RecursionLeavesRoomForItsEnd) {
  const char* schema = R"({"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"},
                           "minItems": 1, "maxItems": 1}]})";
  const std::string open(63, '['), close(63, ']');
  expect_outcomes(schema, {open + "null" + close}, {{open + "[", "refused at 63"}});
  // The list needs three levels more than the null does.
  const char* deep = R"({"anyOf": [{"type": "null"}, {"type": "array", "items": {"anyOf": [
      {"$ref": "#"}, {"const": [[[5]]]}]}, "minItems": 1, "maxItems": 1}]})";
  const std::string most(60, '['), ends(60, ']');
  expect_outcomes(deep, {most + "[[[5]]]" + ends}, {{most + "[[[[5", "refused at 63"}});
}

}  // namespace
}  // namespace evo::grammar
