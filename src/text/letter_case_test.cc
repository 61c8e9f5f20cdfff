// As Python's str has it.
#include "text/letter_case.h"

#include <gtest/gtest.h>

namespace evo::text {
namespace {

TEST(LetterCase, LettersThatBecomeTwo) {
  EXPECT_EQ(upper_case("straße ﬁ ŉ ẞ"), "STRASSE FI ʼN ẞ");
  EXPECT_EQ(title_case("ß ǆ it's éa"), "Ss ǅ It'S Éa");
  EXPECT_EQ(capitalized("ÉCOLE NR"), "École nr");
  EXPECT_EQ(lower_case("İI"), "i\u0307i");
  EXPECT_EQ(folded_case("Straße"), "strasse");
  EXPECT_EQ(swapped_case("aÉß"), "AéSS");
}

TEST(LetterCase, SigmaAtTheEndOfAWord) {
  EXPECT_EQ(lower_case("ΑΣ ΣΑΣ Σ"), "ας σας σ");
}

TEST(LetterCase, BytesThatAreNoTextStay) {
  EXPECT_EQ(upper_case("a\xFFz\xC3"), "A\xFFZ\xC3");
  EXPECT_EQ(lower_case(""), "");
}

TEST(LetterCase, Classes) {
  using enum CharacterClass;
  EXPECT_TRUE(is_of_class(0xE9, kLetter) && is_of_class(0xE9, kLower));
  EXPECT_TRUE(is_of_class(0xB2, kDigit) && is_of_class(0xB2, kNumber));
  EXPECT_FALSE(is_of_class(0xB2, kDecimal) || is_of_class('1', kLetter));
  EXPECT_TRUE(is_of_class(0x1C5, kTitle) && is_of_class(0xC9, kUpper));
  EXPECT_TRUE(is_printable(' ') && is_printable(0xE9));
  EXPECT_FALSE(is_printable(0x200B) || is_printable(0x2028) || is_printable(1));
}

}  // namespace
}  // namespace evo::text
