// Texts of json_object(), in the manner of JSON's own test suites.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/random.h"
#include "grammar/testing.h"

namespace evo::grammar {
namespace {

using testing::outcome;
using Json = nlohmann::ordered_json;

struct Case {
  std::string text;
  const char* outcome;
};

TEST(Json, ValidTextsAreComplete) {
  const Grammar grammar = Grammar::json_object();
  const std::string texts[] = {
      R"({})",
      R"({ })",
      " {}",
      "{\n}",
      R"({"":0})",
      R"({"a": 1})",
      R"({ "a": 1, "b": [ 1, 2 ] })",
      R"({"a":1,"a":2})",
      R"({"a":-0})",
      R"({"a":0.1e1})",
      R"({"a":-1.50E+07})",
      R"({"a":1e-9})",
      R"({"a":123456789012345678})",
      R"({"a":true,"b":false,"c":null})",
      R"({"a":[]})",
      R"({"a":[[],[[]],{}]})",
      R"({"a":["","x",""]})",
      R"({"a":"\"\\\/\b\f\n\r\t"})",
      R"({"\u0061":"\u00e9\uD83D\uDE00\uFFFF\u0000\ud7ff\uE000"})",
      "{\"a\":\"\x7F\"}",
      "{\"\u00E9\":\"\u6771\u4EAC \U0001F600\"}",
      "{\"a\":\"\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF\xC2\x80\xE0\xA0\x80\xF0\x90\x80\x80\"}",
      "{\n  \"a\": [\n    1,\n    2\n  ]\n}",
      "{\n\t\"a\": {\n\t\t\"b\": {}\n\t}\n}",
  };
  for (const std::string& text : texts) {
    ASSERT_TRUE(Json::accept(text)) << text;
    EXPECT_EQ(outcome(grammar, text), "complete") << text;
    for (size_t length = 0; length < text.size(); ++length) {
      EXPECT_EQ(outcome(grammar, text.substr(0, length)), "incomplete") << text << " to " << length;
    }
    EXPECT_EQ(outcome(grammar, text + " "), fmt::format("refused at {}", text.size())) << text;
  }
}

TEST(Json, InvalidTextsAreRefusedAtTheirByte) {
  const Grammar grammar = Grammar::json_object();
  const Case cases[] = {
      {R"([])", "refused at 0"},
      {R"("a")", "refused at 0"},
      {R"(1)", "refused at 0"},
      {"\xEF\xBB\xBF{}", "refused at 0"},
      {"\t{}", "refused at 0"},
      {R"({}})", "refused at 2"},
      {R"({,})", "refused at 1"},
      {R"({a:1})", "refused at 1"},
      {R"({'a':1})", "refused at 1"},
      {R"({1:1})", "refused at 1"},
      {R"({"a"})", "refused at 4"},
      {R"({"a":})", "refused at 5"},
      {R"({"a"::1})", "refused at 5"},
      {R"({"a":1,})", "refused at 7"},
      {R"({"a":1 "b":1})", "refused at 7"},
      {R"({"a":1,,"b":1})", "refused at 7"},
      {R"({"a":[1,]})", "refused at 8"},
      {R"({"a":[,1]})", "refused at 6"},
      {R"({"a":[1}})", "refused at 7"},
      {R"({"a":[1:2]})", "refused at 7"},
      {R"({"a":01})", "refused at 6"},
      {R"({"a":-})", "refused at 6"},
      {R"({"a":+1})", "refused at 5"},
      {R"({"a":.5})", "refused at 5"},
      {R"({"a":1.})", "refused at 7"},
      {R"({"a":1.e1})", "refused at 7"},
      {R"({"a":1e})", "refused at 7"},
      {R"({"a":1e+})", "refused at 8"},
      {R"({"a":0x1})", "refused at 6"},
      {R"({"a":NaN})", "refused at 5"},
      {R"({"a":-Infinity})", "refused at 6"},
      {R"({"a":True})", "refused at 5"},
      {R"({"a":truE})", "refused at 8"},
      {R"({"a":nul})", "refused at 8"},
      {R"({"a":'x'})", "refused at 5"},
      {R"({"a":"\x"})", "refused at 7"},
      {R"({"a":"\u12g4"})", "refused at 10"},
      {R"({"a":"\ud800"})", "refused at 12"},
      {R"({"a":"\uDc00"})", "refused at 9"},
      {R"({"a":"\ud83d\u0041"})", "refused at 14"},
      {R"({"a":"\ud83dx"})", "refused at 12"},
      {"{\"a\":\"\n\"}", "refused at 6"},
      {"{\"a\":\"\t\"}", "refused at 6"},
      {std::string("{\"a\":\"\0\"}", 9), "refused at 6"},
      {"{\"a\":\"\x80\"}", "refused at 6"},
      {"{\"a\":\"\xC0\x80\"}", "refused at 6"},
      {"{\"a\":\"\xE0\x9F\x80\"}", "refused at 7"},
      {"{\"a\":\"\xED\xA0\x80\"}", "refused at 7"},
      {"{\"a\":\"\xE6\x9D\"}", "refused at 8"},
      {"{\"a\":\"\xF4\x90\x80\x80\"}", "refused at 7"},
      {"{\"a\":\"\xF8\"}", "refused at 6"},
      {"{\"a\":\"\xC3\xC3\"}", "refused at 7"},
      {R"({"a":1}/**/)", "refused at 7"},
      {R"({/**/"a":1})", "refused at 1"},
      {R"({"a":"b)", "incomplete"},
      {R"({"a":[{"b":1)", "incomplete"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(outcome(grammar, c.text), c.outcome) << c.text;
    EXPECT_FALSE(Json::accept(c.text) && c.text[0] == '{') << c.text;
  }
}

/// What is valid JSON, but more than is written.
TEST(Json, LimitsAreKept) {
  const Grammar grammar = Grammar::json_object();
  const std::string spaces(64, ' '), tabs(16, '\t'), digits(18, '9');
  const Case cases[] = {
      {"  {}", "refused at 1"},
      {"{  }", "refused at 2"},
      {"{\r\n}", "refused at 1"},
      {"{\n\n}", "refused at 2"},
      {R"({"a":  1})", "refused at 6"},
      {R"({"a" :1})", "refused at 4"},
      {"{\n" + spaces + "}", "complete"},
      {"{\n" + spaces + " }", "refused at 66"},
      {"{\n" + tabs + "}", "complete"},
      {"{\n" + tabs + "\t}", "refused at 18"},
      {"{\n \t}", "refused at 3"},
      {R"({"a":)" + digits + "." + digits + "e-99}", "complete"},
      {R"({"a":)" + digits + "9}", "refused at 23"},
      {R"({"a":0.)" + digits + "9}", "refused at 25"},
      {R"({"a":1e100})", "refused at 9"},
  };
  for (const Case& c : cases) EXPECT_EQ(outcome(grammar, c.text), c.outcome) << c.text;
}

TEST(Json, ContainersAreAtMost64Deep) {
  const Grammar grammar = Grammar::json_object();
  const auto nested = [](int lists, const std::string& inside) {
    return "{\"a\":" + std::string(lists, '[') + inside + std::string(lists, ']') + "}";
  };
  EXPECT_EQ(outcome(grammar, nested(63, "")), "complete");
  EXPECT_EQ(outcome(grammar, nested(62, "1")), "complete");
  EXPECT_EQ(outcome(grammar, nested(62, "{}")), "complete");
  EXPECT_EQ(outcome(grammar, nested(63, "1")), "refused at 68");
  EXPECT_EQ(outcome(grammar, nested(63, "[]")), "refused at 68");
  EXPECT_EQ(outcome(grammar, nested(62, "{\"a\":1}")), "refused at 68");
}

Json random_value(Random& random, int depth) {
  switch (random.below(depth > 0 ? 8 : 6)) {
    case 0:
      return nullptr;
    case 1:
      return random.below(2) == 0;
    case 2:
      return static_cast<int64_t>(random.below(2'000'000)) - 1'000'000;
    case 3:
      return random.normal();
    case 4:
      return "line\n\"quoted\" \\ \x01 \u00E9\u6771\U0001F600";
    case 5:
      return std::string(random.below(6), 'x');
    case 6: {
      Json list = Json::array();
      for (uint64_t i = random.below(4); i-- > 0;) list.push_back(random_value(random, depth - 1));
      return list;
    }
    default: {
      Json object = Json::object();
      for (uint64_t i = random.below(4); i-- > 0;) {
        object["key" + std::to_string(i)] = random_value(random, depth - 1);
      }
      return object;
    }
  }
}

/// The other way round than sampling: what other programs write may be written, in every layout.
TEST(Json, WhatTheLibraryWritesIsComplete) {
  const Grammar grammar = Grammar::json_object();
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    const Json value = {{"value", random_value(random, 5)}};
    for (const int indent : {-1, 1, 2, 4}) {
      for (const bool ascii : {false, true}) {
        const std::string text = value.dump(indent, ' ', ascii);
        ASSERT_EQ(outcome(grammar, text), "complete") << text;
      }
    }
    const std::string text = value.dump(1, '\t');
    ASSERT_EQ(outcome(grammar, text), "complete") << text;
  }
}

}  // namespace
}  // namespace evo::grammar
