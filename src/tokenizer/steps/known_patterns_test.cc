#include "tokenizer/steps/known_patterns.h"

#include "text/regex.h"
#include "text/testing.h"

namespace evo::tokenizer {
namespace {

// Made of what the patterns tell apart: both ends of ASCII's classes, and characters beyond it that
// are letters, digits, white space or signs. Long s is s in another case.
constexpr const char* kParts[] = {
    "a",      "s",      "S",      "t",      "re",     "VE",     "ll",     "L",         "'",
    "'s",     "'S",     "'Ll",    " ",      "  ",     "\n",     "\r",     "\t",        "\v",
    "\f",     "0",      "9",      "12",     "!",      "/",      ":",      "@",         "[",
    "`",      "{",      "~",      "\\",     "_",      "\x1F",   "\x7F",   "\u00E9",    "\u017F",
    "\u0660", "\u00B2", "\u3000", "\u0085", "\u2028", "\u6771", "\u0301", "\U0001F44D"};

std::string random_parts(Random& random) {
  std::string text;
  for (size_t count = 1 + random.below(12); count > 0; --count) {
    text += kParts[random.below(std::size(kParts))];
  }
  return text;
}

// From every place where a match can begin, not only where words do.
void expect_scanner_agrees(const char* pattern) {
  const WordScanner scan = find_word_scanner(pattern);
  ASSERT_NE(scan, nullptr);
  const text::Regex regex(pattern);
  text::RegexMatcher matcher(regex);
  Random random(1);
  int decided = 0, asked = 0;
  for (int trial = 0; trial < 20'000; ++trial) {
    const std::string text = random_parts(random);
    matcher.start(text);
    for (size_t from = 0; from < text.size(); ++from) {
      if ((static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) continue;  // inside a character
      const size_t end = scan(text, from);
      ++(end == 0 ? asked : decided);
      if (end == 0) continue;
      text::RegexMatch match;
      matcher.skip_to(from);
      ASSERT_TRUE(matcher.next(match)) << text << " at " << from;
      ASSERT_EQ(match.begin, from) << text;
      ASSERT_EQ(match.end, end) << text << " at " << from;
    }
  }
  EXPECT_GT(decided, asked);
}

TEST(KnownPatterns, Gpt2ScannerIsTheExpression) {
  expect_scanner_agrees(kGpt2Pattern);
}
TEST(KnownPatterns, Llama3ScannerIsTheExpression) {
  expect_scanner_agrees(kLlama3Pattern);
}
TEST(KnownPatterns, QwenScannerIsTheExpression) {
  expect_scanner_agrees(kQwenPattern);
}

TEST(KnownPatterns, OthersHaveNoScanner) {
  EXPECT_EQ(find_word_scanner(R"(\p{L}+)"), nullptr);
  EXPECT_EQ(find_word_scanner(std::string(kGpt2Pattern) + "|a"), nullptr);
}

TEST(KnownPatterns, ScannersDecideAsciiWords) {
  const WordScanner scan = find_word_scanner(kLlama3Pattern);
  EXPECT_EQ(scan("the cat", 0), 3u);
  EXPECT_EQ(scan("the cat", 3), 7u);
  EXPECT_EQ(scan("12345", 0), 3u);
  EXPECT_EQ(scan("the\u00E9", 0), 0u);  // the letters go on
}

}  // namespace
}  // namespace evo::tokenizer
