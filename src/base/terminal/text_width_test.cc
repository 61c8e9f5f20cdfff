#include "base/terminal/text_width.h"

#include <gtest/gtest.h>

namespace evo {
namespace {

TEST(TextWidth, Columns) {
  EXPECT_EQ(text_columns(""), 0);
  EXPECT_EQ(text_columns("plain"), 5);
  EXPECT_EQ(text_columns("\u00e9\u20ac"), 2);
  EXPECT_EQ(text_columns("e\u0301"), 1) << "a combining accent takes no room";
  EXPECT_EQ(text_columns("\u4e2d\u6587\uff21\uac00"), 8) << "East Asian";
  EXPECT_EQ(text_columns("\U0001F600"), 2);
}

TEST(TextWidth, CommandsToTheTerminalAreDots) {
  EXPECT_EQ(printable("a\x1b[2J\r\n\t\x7f"
                      "b"),
            "a.[2J....b");
  EXPECT_EQ(printable("\u009b"
                      "2J\u0085\u2028"),
            ".2J..")
      << "one byte commands in UTF-8";
  EXPECT_EQ(text_columns("\x1b\u009b"), 2);
}

TEST(TextWidth, BadBytes) {
  EXPECT_EQ(printable("a\xff"
                      "b\xe4\xb8"),
            "a\uFFFDb\uFFFD\uFFFD");
  EXPECT_EQ(text_columns("a\xff"
                         "b\xe4\xb8"),
            5);
  EXPECT_EQ(printable("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD") << "half of a surrogate pair";
}

TEST(TextWidth, FittingKeepsCharactersWhole) {
  EXPECT_EQ(fitting("plain", 3), "pla");
  EXPECT_EQ(fitting("plain", 9), "plain");
  EXPECT_EQ(fitting("\u4e2d\u6587", 3), "\u4e2d") << "half a character does not fit";
  EXPECT_EQ(fitting("e\u0301x", 1), "e\u0301") << "the accent stays with its letter";
  EXPECT_EQ(fitting("\u20ac", 0), "");
}

TEST(TextWidth, Disputed) {
  const auto disputed = [](std::string_view text) { return first_character(text).disputed; };
  EXPECT_FALSE(disputed("a"));
  EXPECT_FALSE(disputed("\u4e2d"));
  EXPECT_FALSE(disputed("\u0301"));
  EXPECT_FALSE(disputed("\U0001F600"));
  EXPECT_TRUE(disputed("\u200d")) << "joins emoji to one, or does not";
  EXPECT_TRUE(disputed("\ufe0f"));
  EXPECT_TRUE(disputed("\U0001F1E6"));
  EXPECT_TRUE(disputed("\U0001F3FB"));
  EXPECT_TRUE(disputed("\ue000"));
}

}  // namespace
}  // namespace evo
