#include "eval/data/data_rows.h"

#include "base/testing.h"

namespace evo::eval {
namespace {

using testing::expect_error;

TEST(JsonRows, LinesWithGaps) {
  const std::vector<json::Record> rows =
      json_rows({"d/t.jsonl", "{\"a\": 1}\r\n\n {\"a\": 2, \"b\": \"x\"}"});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].get_int("a"), 1);
  EXPECT_EQ(rows[1].get_string("b"), "x");
  EXPECT_EQ(rows[1].source(), "d/t.jsonl:3");
}

TEST(JsonRows, Array) {
  const std::vector<json::Record> rows = json_rows(
      {"t.json", "\n[ {\"a\": \"}]\\\"{\"},\n\n{\"a\": \"\\\\\", \"b\": {\"c\": [1]}}\n]\n"});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].get_string("a"), "}]\"{");
  EXPECT_EQ(rows[1].get_string("a"), "\\");
  EXPECT_EQ(rows[1].get_record("b").get_ints("c"), std::vector<int64_t>{1});
  EXPECT_EQ(rows[1].source(), "t.json:4");
}

TEST(JsonRows, ErrorsNameTheLine) {
  const auto refused = [](std::string text, std::initializer_list<std::string_view> parts) {
    expect_error([&] { static_cast<void>(json_rows({"t.json", text})); }, parts);
  };
  refused("{\"a\": 1}\n{\"a\": ", {"t.json:2", "not valid JSON"});
  refused("{\"a\": 1}\n[1]\n", {"t.json:2", "expected a JSON object"});
  refused("[{\"a\": 1},\n{\"a\": [\n", {"t.json:2", "does not end", "cut short"});
  refused("[{\"a\": 1},\n", {"t.json:2", "expected an object", "the end of the file"});
  refused("[{\"a\": 1},\n]", {"t.json:2", "expected an object", "']'"});
  refused("[{\"a\": 1}\n{\"a\": 1}]", {"t.json:2", "after an object", "'{'"});
  refused("[{\"a\": 1}]\n[", {"t.json:2", "expected the end of the file", "'['"});
  refused("[{\"a\": 1},\n{a}]", {"t.json:2", "not valid JSON"});
  refused("", {"t.json", "at least one row"});
  refused("[]", {"t.json", "at least one row"});
}

TEST(JsonRows, MissingFieldNamesTheLine) {
  const std::vector<json::Record> rows = json_rows({"t.jsonl", "{}\n{\"a\": 1}"});
  expect_error([&] { static_cast<void>(rows[1].get_string("b")); }, {"t.jsonl:2", "\"b\""});
}

TEST(CsvRows, NamesFromTheFirstLineOrGiven) {
  const DataFile file{"t.csv", "x,y\n1,\"a\nb\"\n2,c\n"};
  const std::vector<json::Record> named = csv_rows(file);
  ASSERT_EQ(named.size(), 2u);
  EXPECT_EQ(named[0].get_string("y"), "a\nb");
  EXPECT_EQ(named[1].get_string("x"), "2");
  EXPECT_EQ(named[1].source(), "t.csv:4");
  const std::vector<json::Record> given = csv_rows(file, {"p", "q"});
  ASSERT_EQ(given.size(), 3u);
  EXPECT_EQ(given[0].get_string("p"), "x");
}

TEST(CsvRows, Errors) {
  expect_error(
      [] {
        static_cast<void>(csv_rows({"t.csv", "x,y\n1,2\n3\n"}));
      },
      {"t.csv:3", "expected 2 values, found 1"});
  expect_error(
      [] {
        static_cast<void>(csv_rows({"t.csv", "x,y\n"}));
      },
      {"t.csv", "at least one row"});
}

TEST(ReadRows, FormByTheName) {
  EXPECT_EQ(read_rows({"t.csv.xz", "x\n1\n"})[0].get_string("x"), "1");
  EXPECT_EQ(read_rows({"t.zip:d/t.csv", "x\n1\n"})[0].get_string("x"), "1");
  EXPECT_EQ(read_rows({"t.jsonl.gz", "{\"x\": 1}"})[0].get_int("x"), 1);
}

}  // namespace
}  // namespace evo::eval
