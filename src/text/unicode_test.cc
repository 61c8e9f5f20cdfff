#include "text/unicode.h"

#include "text/testing.h"

namespace evo::text {
namespace {

std::string form_of(std::string_view text, NormalForm form) {
  std::string out = "kept ";
  append_normal_form(text, form, out);
  EXPECT_TRUE(out.starts_with("kept "));
  return out.substr(5);
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(form_of("cafe\u0301 x", NormalForm::kNfc), "caf\u00E9 x");
  EXPECT_EQ(form_of("caf\u00E9 x", NormalForm::kNfd), "cafe\u0301 x");
  EXPECT_EQ(form_of("\uFB01\u00B2", NormalForm::kNfkc), "fi2");
  EXPECT_EQ(form_of("\uFB01\u00B2", NormalForm::kNfc), "\uFB01\u00B2");
  EXPECT_EQ(form_of("\u00E9\uFB01", NormalForm::kNfkd), "e\u0301fi");
  EXPECT_EQ(form_of("\u1100\u1161\u11A8", NormalForm::kNfc), "\uAC01");  // Hangul
  EXPECT_EQ(form_of("\u212B", NormalForm::kNfc), "\u00C5");
  EXPECT_EQ(form_of("a\u0323\u0301", NormalForm::kNfc), "\u1EA1\u0301");  // marks are reordered
  EXPECT_EQ(form_of("a\u0301\u0323", NormalForm::kNfc), "\u1EA1\u0301");
  const std::string_view zero("a\0\u0301", 4);
  EXPECT_EQ(form_of(zero, NormalForm::kNfc), zero);
  EXPECT_EQ(form_of("", NormalForm::kNfc), "");
}

// Going by runs between ASCII characters gives what the whole at once would: a fixed point.
TEST(Unicode, NormalFormsAreStable) {
  constexpr const char* kCharacters[] = {"a",      "e",      " ",      "\u0301",
                                         "\u0323", "\u00E9", "\u1100", "\u1161",
                                         "\u6771", "\uFB01", "\u0085", "\U0001D15E"};
  Random random(1);
  for (int trial = 0; trial < 2000; ++trial) {
    std::string text;
    for (size_t count = random.below(12); count > 0; --count) {
      text += kCharacters[random.below(std::size(kCharacters))];
    }
    const std::string composed = form_of(text, NormalForm::kNfc);
    EXPECT_EQ(form_of(composed, NormalForm::kNfc), composed);
    const std::string apart = form_of(text, NormalForm::kNfd);
    EXPECT_EQ(form_of(apart, NormalForm::kNfc), composed);
    EXPECT_EQ(form_of(composed, NormalForm::kNfd), apart);
  }
}

TEST(Unicode, Lowercase) {
  std::string out;
  append_lowercase("A\u00C9\u0130\u03A3z\u6771", out);
  EXPECT_EQ(out, "a\u00E9i\u0307\u03C3z\u6771");
}

TEST(Unicode, EndsOfText) {
  EXPECT_EQ(leading_white_space(" \t\u3000\u0085x "), 7u);
  EXPECT_EQ(trailing_white_space(" x\u2028 \n"), 5u);
  EXPECT_EQ(leading_white_space(""), 0u);
  EXPECT_EQ(trailing_white_space("\u180E"), 0u);
  EXPECT_EQ(trailing_white_space("\xFF "), 1u);
  EXPECT_TRUE(begins_with_word_character("\u6771!"));
  EXPECT_TRUE(ends_with_word_character("!\u0301"));
  EXPECT_TRUE(ends_with_word_character("_"));
  EXPECT_FALSE(begins_with_word_character("-a"));
  EXPECT_FALSE(ends_with_word_character("a\xFF"));
  EXPECT_FALSE(ends_with_word_character(""));
}

}  // namespace
}  // namespace evo::text
