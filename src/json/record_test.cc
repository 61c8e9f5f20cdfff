#include "json/record.h"

#include <bit>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "base/testing.h"

namespace evo::json {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

TEST(Record, KeepsOrderAndTypes) {
  Record inner;
  inner.set("z", 1).set("a", "text");
  Record record;
  record.set("flag", true).set("int", 7).set("size", size_t{8}).set("real", 2.0);
  record.set("text", "literal").set("inner", inner);
  record.set("ints", std::vector<int64_t>{1, 2}).set("reals", std::vector<double>{0.5});
  record.set("texts", std::vector<std::string>{"a"}).set("records", std::vector<Record>{inner});
  EXPECT_EQ(
      record.dump(),
      R"({"flag":true,"int":7,"size":8,"real":2.0,"text":"literal","inner":{"z":1,"a":"text"},)"
      R"("ints":[1,2],"reals":[0.5],"texts":["a"],"records":[{"z":1,"a":"text"}]})");
  const Record back = Record::parse(record.dump(true), "test");
  EXPECT_EQ(back.dump(), record.dump());
  EXPECT_TRUE(back.get_bool("flag"));
  EXPECT_EQ(back.get_int("int"), 7);
  EXPECT_EQ(back.get_double("int"), 7.0);
  EXPECT_EQ(back.get_string("text"), "literal");
  EXPECT_EQ(back.get_record("inner").keys(), (std::vector<std::string>{"z", "a"}));
  EXPECT_EQ(back.get_ints("ints"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(back.get_doubles("reals"), (std::vector<double>{0.5}));
  EXPECT_EQ(back.get_strings("texts"), (std::vector<std::string>{"a"}));
  EXPECT_EQ(back.get_records("records").at(0).get_int("z"), 1);
}

TEST(Record, FiniteDoublesSurviveBitForBit) {
  Random random(1);
  std::vector<double> values = {0.0,
                                -0.0,
                                0.1,
                                1e-320,
                                std::numeric_limits<double>::max(),
                                std::numeric_limits<double>::min(),
                                1.0 / 3};
  while (values.size() < 2000) {
    const auto value = std::bit_cast<double>(random.next64());
    if (std::isfinite(value)) values.push_back(value);
  }
  Record record;
  record.set("values", values);
  const auto back = Record::parse(record.dump(), "test").get_doubles("values");
  ASSERT_EQ(back.size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(std::bit_cast<uint64_t>(back[i]), std::bit_cast<uint64_t>(values[i])) << values[i];
  }
}

TEST(Record, ExtremeIntegersSurvive) {
  Record record;
  record.set("low", std::numeric_limits<int64_t>::min());
  record.set("high", std::numeric_limits<int64_t>::max());
  const Record back = Record::parse(record.dump(), "test");
  EXPECT_EQ(back.get_int("low"), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(back.get_int("high"), std::numeric_limits<int64_t>::max());
}

TEST(Record, NotFiniteIsNullAndNoNumber) {
  Record record;
  record.set("loss", std::nan("")).set("all", std::vector<double>{1, INFINITY});
  EXPECT_EQ(record.dump(), R"({"loss":null,"all":[1.0,null]})");
  EXPECT_TRUE(record.is_null("loss"));
  expect_error([&] { (void)record.get_double("loss"); }, {"loss", "a number", "null"});
  expect_error([&] { (void)record.get_doubles("all"); }, {"\"all\"[1]", "a number", "null"});
}

TEST(Record, GettersNameSourceKeyAndTypes) {
  const Record record = Record::parse(
      R"({"text":"abc","half":0.5,"big":9223372036854775808,"million":1e6,"wide":1e300,)"
      R"("inner":{"list":[1,"x"]}})",
      "config.json");
  expect_error([&] { (void)record.get_int("width"); }, {"config.json", "width", "missing"});
  expect_error([&] { (void)record.get_int("text"); }, {"config.json", "text", "whole", "abc"});
  expect_error([&] { (void)record.get_int("half"); }, {"half", "whole number", "0.5"});
  expect_error([&] { (void)record.get_int("big"); }, {"big", "9223372036854775808"});
  expect_error([&] { (void)record.get_int("wide"); }, {"wide", "1e+300"});
  expect_error([&] { (void)record.get_bool("half"); }, {"true or false"});
  expect_error([&] { (void)record.get_string("inner"); }, {"a text", "an object"});
  expect_error([&] { (void)record.get_record("text"); }, {"an object", "abc"});
  expect_error([&] { (void)record.get_records("text"); }, {"array of objects", "abc"});
  expect_error([&] { (void)record.members(); }, {"text", "an object"});
  expect_error([&] { (void)record.get_record("inner").get_ints("list"); },
               {"config.json: inner", "\"list\"[1]", "whole", "x"});
  EXPECT_EQ(record.get_int("million"), 1000000);
}

TEST(Record, BadTextIsRefusedWithItsPlace) {
  const auto parse = [](const std::string& text) {
    return [text] { (void)Record::parse(text, "x.json"); };
  };
  expect_error(parse(""), {"x.json", "not valid JSON"});
  expect_error(parse("{\"a\": 1,\n \"b\": }"), {"x.json", "byte 16", "line 2"});
  expect_error(parse("{\"a\": 1} rest"), {"not valid JSON"});
  expect_error(parse(std::string("{}\0{", 4)), {"x.json", "byte 3", "NUL"});
  expect_error(parse("[1]"), {"x.json", "object", "an array"});
  expect_error(parse("{\"a\": NaN}"), {"not valid JSON"});
  expect_error(parse("{\"a\": 1e999}"), {"not valid JSON"});
  expect_error(parse("{\"a\": \"\xFF\"}"), {"not valid JSON"});
  expect_error(parse("{\"a\": 1, \"b\": 2, \"a\": 3}"), {"x.json", "\"a\"", "twice"});
  expect_error(parse("{\"a\": {\"b\": 2, \"b\": 3}}"), {"\"b\"", "twice"});
  expect_error(parse("{\"a\":" + std::string(1'000'000, '[')), {"nested"});
}

/// As Python's json module reads them, and the standard forbids.
TEST(Record, FilesOfOtherProgramsMayHoldConstantsAndKeysTwice) {
  const testing::TemporaryFolder folder;
  const std::filesystem::path file = folder / "config.json";
  testing::write_bytes(file, R"({"a": NaN, "b": [Infinity, -Infinity, null, 1], "s": "NaN \" null",
      "a2": null, "c": 1, "d": 5, "c": 2})");
  const Record record = Record::load_foreign(file);
  EXPECT_TRUE(std::isnan(record.get_double("a")));
  EXPECT_TRUE(record.is_null("a2"));
  EXPECT_EQ(record.get_int("c"), 2);
  EXPECT_EQ(record.get_string("s"), "NaN \" null");
  EXPECT_EQ(record.keys(), (std::vector<std::string>{"a", "b", "s", "a2", "c", "d"}));
  expect_error([&] { (void)Record::load(file); }, {"config.json", "not valid JSON"});
  testing::write_bytes(file, R"({"b": [Infinity, -Infinity]})");
  EXPECT_EQ(Record::load_foreign(file).get_doubles("b"),
            (std::vector<double>{INFINITY, -INFINITY}));
  for (const char* bad : {R"({"a": nan})", R"({"a": NaNN})", R"({"a": -NaN})", R"({"a": Inf})"}) {
    testing::write_bytes(file, bad);
    expect_error([&] { (void)Record::load_foreign(file); }, {"config.json", "not valid JSON"});
  }
}

TEST(Record, BadUtf8IsReplacedWhenWritten) {
  Record record;
  record.set("piece", "a\xE2\x82");
  EXPECT_EQ(Record::parse(record.dump(), "test").get_string("piece"), "a\xEF\xBF\xBD");
}

TEST(Record, SetReplacesAndMayTakeItself) {
  Record record;
  record.set("a", 1).set("b", 2).set("a", "x");
  record.set("self", record);
  EXPECT_EQ(record.dump(), R"({"a":"x","b":2,"self":{"a":"x","b":2}})");
  record.erase("b");
  EXPECT_FALSE(record.has("b"));
}

TEST(Record, SavesAndLoads) {
  const TemporaryFolder folder;
  Record record;
  record.set("a", 1);
  record.save(folder / "r.json");
  EXPECT_EQ(testing::read_bytes(folder / "r.json"), "{\n  \"a\": 1\n}\n");
  EXPECT_EQ(Record::load(folder / "r.json").dump(), record.dump());
  expect_error([&] { (void)Record::load(folder / "r.json", 5); }, {"r.json", "at most 5 bytes"});
  expect_error([&] { (void)Record::load(folder / "none.json"); }, {"none.json", "No such file"});
}

}  // namespace
}  // namespace evo::json
