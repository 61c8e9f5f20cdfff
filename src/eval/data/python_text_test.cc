#include "eval/data/python_text.h"

#include <gtest/gtest.h>

namespace evo::eval {
namespace {

TEST(PythonText, StripKnowsTheSpacesOfUnicode) {
  EXPECT_EQ(strip("  \t\n a b \r\n"), "a b");
  EXPECT_EQ(strip("\u3000\u00A0题 目\u2003\u0085"), "题 目");
  EXPECT_EQ(strip("\x1C\x1F"
                  "a\x1E"),
            "a");
  EXPECT_EQ(strip("\u2000a\u200A\u1680\u2029\u205F"), "a");
  EXPECT_EQ(strip("\u200B"
                  "a"),
            "\u200B"
            "a");  // zero width: no space for Python
  EXPECT_EQ(strip(" \xFF "), "\xFF");
  EXPECT_EQ(strip(" \u3000 "), "");
  EXPECT_EQ(strip(""), "");
}

TEST(PythonText, CharacterCount) {
  EXPECT_EQ(character_count(""), 0);
  EXPECT_EQ(character_count("abc"), 3);
  EXPECT_EQ(character_count("naïve 答案：😀"), 10);
  EXPECT_EQ(character_count("a\xFF\xFE"), 3);
}

TEST(PythonText, CapitalizedLowersTheRest) {
  EXPECT_EQ(capitalized("the Three boys in a T-shirt"), "The three boys in a t-shirt");
  EXPECT_EQ(capitalized("élan ÉTÉ"), "Élan été");
  EXPECT_EQ(capitalized(""), "");
}

TEST(PythonText, ReplacedGoesFromLeftToRightOnce) {
  EXPECT_EQ(replaced("a   b  c", "  ", " "), "a  b c");
  EXPECT_EQ(replaced("abab", "ab", "abc"), "abcabc");
  EXPECT_EQ(replaced("x", "y", "z"), "x");
}

TEST(PythonText, Lines) {
  using Lines = std::vector<std::string_view>;
  EXPECT_EQ(lines_of("a\r\n\nb\n"), (Lines{"a", "", "b"}));
  EXPECT_EQ(lines_of("a\n\n"), (Lines{"a", ""}));
  EXPECT_EQ(lines_of("a"), (Lines{"a"}));
  EXPECT_EQ(lines_of(""), Lines{});
}

}  // namespace
}  // namespace evo::eval
