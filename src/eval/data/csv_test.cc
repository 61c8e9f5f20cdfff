#include "eval/data/csv.h"

#include "base/testing.h"

namespace evo::eval {
namespace {

using testing::expect_error;
using Fields = std::vector<std::string>;

// What Python's csv.reader gives for the same text.
TEST(Csv, QuotesCommasAndNewlines) {
  const std::vector<CsvRow> rows = parse_csv(
      "a,\"b, c\",\"say \"\"hi\"\"\"\r\n"
      ",\"two\nlines\",x\"y\n"
      "\n"
      "\"q\"tail,,",
      "t.csv");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].fields, (Fields{"a", "b, c", "say \"hi\""}));
  EXPECT_EQ(rows[1].fields, (Fields{"", "two\nlines", "x\"y"}));
  EXPECT_EQ(rows[2].fields, (Fields{"qtail", "", ""}));
  EXPECT_EQ(rows[0].line, 1);
  EXPECT_EQ(rows[1].line, 2);
  EXPECT_EQ(rows[2].line, 5);
}

TEST(Csv, QuoteThatDoesNotEnd) {
  expect_error([] { static_cast<void>(parse_csv("a,b\nc,\"d\ne", "t.csv")); },
               {"t.csv:2", "does not end"});
}

TEST(Csv, Empty) {
  EXPECT_TRUE(parse_csv("", "t.csv").empty());
  EXPECT_TRUE(parse_csv("\r\n\n", "t.csv").empty());
}

}  // namespace
}  // namespace evo::eval
