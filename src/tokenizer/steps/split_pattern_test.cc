#include "tokenizer/steps/split_pattern.h"

#include "text/testing.h"
#include "text/utf8.h"

namespace evo::tokenizer {
namespace {

using Words = std::vector<std::string>;

Words split_words(std::string_view text, const std::string& pattern = kGpt2Pattern) {
  const SplitPattern compiled(pattern);
  Splitter splitter(compiled);
  splitter.start(text);
  Words words;
  for (std::string_view word; splitter.next(word);) words.emplace_back(word);
  return words;
}

std::string joined(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += word;
  return text;
}

TEST(SplitPattern, CutsEnglish) {
  EXPECT_EQ(split_words("It's 42 days, we'll see!"),
            (Words{"It", "'s", " 42", " days", ",", " we", "'ll", " see", "!"}));
  EXPECT_EQ(split_words("a  b\n\n c \n"), (Words{"a", " ", " b", "\n\n", " c", " \n"}));
  EXPECT_EQ(split_words(""), Words{});
}

TEST(SplitPattern, CutsOtherScripts) {
  EXPECT_EQ(split_words("Größe 東京は2024年"), (Words{"Größe", " 東京は", "2024", "年"}));
  EXPECT_EQ(split_words("ok 👍🏽!"), (Words{"ok", " 👍🏽!"}));
  // White space beyond ASCII (U+3000, U+0085), and U+180E, which is none.
  EXPECT_EQ(split_words("a\u3000\u3000b"), (Words{"a", "\u3000", "\u3000", "b"}));
  EXPECT_EQ(split_words("a\xC2\x85"), (Words{"a", "\xC2\x85"}));
  EXPECT_EQ(split_words("!\u180E!"), (Words{"!\u180E!"}));
}

TEST(SplitPattern, BytesThatAreNotUtf8AreWords) {
  EXPECT_EQ(split_words("ab\xFF\xFE cd\x80"), (Words{"ab", "\xFF\xFE", " cd", "\x80"}));
  EXPECT_EQ(split_words("\xE2\x82"), (Words{"\xE2\x82"}));                      // cut off
  EXPECT_EQ(split_words("\xED\xA0\x80x"), (Words{"\xED\xA0\x80", "x"}));        // surrogate
  EXPECT_EQ(split_words("\xF4\x90\x80\x80"), (Words{"\xF4\x90\x80\x80"}));      // above U+10FFFF
  EXPECT_EQ(split_words("\xC0\xAF\xC3\xA9"), (Words{"\xC0\xAF", "\xC3\xA9"}));  // overlong, then é
}

TEST(SplitPattern, WordsJoinedAreTheText) {
  Random random(1);
  for (const char* pattern : {kGpt2Pattern, "b+", R"(\w+|a*)"}) {  // gaps; empty matches
    for (int trial = 0; trial < 200; ++trial) {
      const std::string text = trial % 2 == 0
                                   ? testing::random_bytes(random, random.below(60))
                                   : testing::random_text(random, random.below(60), "ab' \n\t1!s");
      const Words words = split_words(text, pattern);
      EXPECT_EQ(joined(words), text);
      for (const std::string& word : words) EXPECT_FALSE(word.empty());
    }
  }
  EXPECT_EQ(split_words("aabbcba", "b+"), (Words{"aa", "bb", "c", "b", "a"}));
}

TEST(SplitPattern, ABadPatternIsNamed) {
  const std::string message = testing::error_of([] { SplitPattern pattern("ab(c"); });
  EXPECT_NE(message.find("ab(c"), std::string::npos) << message;
  EXPECT_NE(message.find("parenthesis"), std::string::npos) << message;
  // \C would cut characters apart.
  EXPECT_NE(testing::error_of([] { SplitPattern pattern(R"(\C)"); }), "");
}

TEST(SplitPattern, APatternThatBacktracksForEverIsGivenUp) {
  const std::string message =
      testing::error_of([] { split_words(std::string(200, 'a') + "b", "(a+a+)+[cd]"); });
  EXPECT_NE(message.find("match limit"), std::string::npos) << message;
}

TEST(SplitPattern, HugeRunsAreFine) {
  const size_t size = 8 << 20;
  EXPECT_EQ(split_words(std::string(size, 'x')).size(), 1u);
  EXPECT_EQ(split_words(std::string(size, ' ') + "x").size(), 2u);
  EXPECT_EQ(split_words(std::string(size, '\n')).size(), 1u);
  EXPECT_EQ(split_words(std::string(size, '\xFF')).size(), 1u);
}

// Cutting at a safe place must not change the words.
TEST(NextSafeCut, KeepsTheWords) {
  Random random(2);
  size_t cuts = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    const std::string text = trial % 4 == 0
                                 ? testing::random_bytes(random, 40)
                                 : testing::random_text(random, 40, "ab'sl 1!\n\t\xC3\xA9\xE3\x80");
    const size_t cut = next_safe_cut(text, random.below(text.size()));
    if (cut == text.size()) continue;
    ++cuts;
    Words words = split_words(text.substr(0, cut));
    for (const std::string& word : split_words(text.substr(cut))) words.push_back(word);
    EXPECT_EQ(words, split_words(text)) << cut << ": " << text;
  }
  EXPECT_GT(cuts, 1000u);
}

TEST(NextSafeCut, FindsTheFirstPlace) {
  EXPECT_EQ(next_safe_cut("ab cd ef", 0), 2u);
  EXPECT_EQ(next_safe_cut("ab cd ef", 2), 2u);
  EXPECT_EQ(next_safe_cut("ab cd ef", 3), 5u);
  EXPECT_EQ(next_safe_cut("ab cd ef", 6), 8u);
  EXPECT_EQ(next_safe_cut(" ab", 0), 3u);
  EXPECT_EQ(next_safe_cut("", 0), 0u);
}

// The bits of `code` in UTF-8's form of `length` bytes, allowed or not.
std::string encoded(uint32_t code, int length) {
  constexpr unsigned kLead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  std::string text(1, static_cast<char>(kLead[length] | code >> (6 * (length - 1))));
  for (int i = length - 2; i >= 0; --i) {
    text += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F));
  }
  return text;
}

// Every code point has exactly one encoding; everything else is refused.
TEST(Utf8, KnowsAllCharacters) {
  constexpr uint32_t kEnds[] = {0, 0x80, 0x800, 0x10000, 0x110000};  // of each length
  for (uint32_t code = 0; code < 0x120000; ++code) {
    for (int length = 1; length <= 4; ++length) {
      if (code >= (uint32_t{1} << (length == 1 ? 7 : 5 * length + 1))) continue;  // does not fit
      const std::string text = encoded(code, length);
      const bool surrogate = code >= 0xD800 && code < 0xE000;
      const bool valid = code >= kEnds[length - 1] && code < kEnds[length] && !surrogate;
      ASSERT_EQ(text::utf8_character_length(text), valid ? text.size() : 0)
          << code << ", " << length;
      ASSERT_EQ(text::utf8_character_length(text.substr(0, text.size() - 1)), 0u) << code;
    }
  }
  int two_byte_characters = 0;
  for (int i = 0; i < 65536; ++i) {
    const char bytes[] = {static_cast<char>(i >> 8), static_cast<char>(i)};
    two_byte_characters += text::utf8_character_length({bytes, 2}) == 2;
  }
  EXPECT_EQ(two_byte_characters, 0x800 - 0x80);
}

}  // namespace
}  // namespace evo::tokenizer
