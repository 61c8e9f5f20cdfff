#include "tokenizer/bpe/word_encoder.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tokenizer/bpe/byte_alphabet.h"

namespace evo::tokenizer {
namespace {

// The tokens of `word`, each with a space behind it.
std::string words_of(const TokenizerSpec& spec, bool byte_level, std::string_view word) {
  const WordTables tables(spec, byte_level);
  std::vector<int32_t> ids;
  WordEncoder(tables).encode_append(word, ids);
  std::string text;
  for (const int32_t id : ids) text += spec.tokens[id] + " ";
  return text;
}

// All bytes but 4, 5 and 6, "!!", and `more`.
TokenizerSpec bytes_with_gaps(std::vector<std::string> more) {
  TokenizerSpec spec;
  for (int byte = 0; byte < 256; ++byte) {
    if (byte < 4 || byte > 6) spec.tokens.emplace_back(1, static_cast<char>(byte));
  }
  constexpr int32_t kMark = '!' - 3;
  spec.merges = {{kMark, kMark, static_cast<int32_t>(spec.tokens.size())}};
  spec.tokens.push_back("!!");
  spec.tokens.insert(spec.tokens.end(), more.begin(), more.end());
  return spec;
}

using Expected = std::vector<std::pair<const char*, const char*>>;  // word, its tokens

void expect_words(const TokenizerSpec& spec, bool byte_level, const Expected& all) {
  for (const auto& [word, tokens] : all) {
    EXPECT_EQ(words_of(spec, byte_level, word), tokens) << to_byte_alphabet(word);
  }
}

// Every expectation here is what tokenizers 0.23.1 gives: the neighbours of a byte that is left out
// merge, and a spelling overtakes the unknown token before it.
TEST(WordEncoder, BytesWithoutATokenAreWhatHuggingFaceMakesOfThem) {
  TokenizerSpec spec = bytes_with_gaps({});
  expect_words(spec, true, {{"!\4!", "!! "}, {"!\4\5!", "!! "}, {"\5\4!\6", "! "}, {"\4", ""}});

  spec = bytes_with_gaps({"<u>"});
  spec.unknown = static_cast<int32_t>(spec.tokens.size()) - 1;
  expect_words(spec, true,
               {{"!\4!", "! <u> ! "}, {"!\4\5!", "! <u> <u> ! "}, {"\5\4!\6", "<u> <u> ! <u> "}});
  spec.fuse_unknown = true;
  expect_words(spec, true,
               {{"!\4!", "! <u> ! "}, {"!\4\5!", "! <u> ! "}, {"\5\4!\6", "<u> ! <u> "}});

  spec = bytes_with_gaps({"<0xC4>", "<0x84>"});
  spec.byte_fallback = true;
  expect_words(spec, true, {{"!\4!", "! <0xC4> <0x84> ! "}, {"!\4\5!", "! <0xC4> <0x84> ! "}});
  spec.unknown = static_cast<int32_t>(spec.tokens.size());
  spec.tokens.push_back("<u>");
  expect_words(spec, true,
               {{"!\4\5!", "! <0xC4> <0x84> <u> ! "}, {"\5\4!\6", "<0xC4> <0x84> <u> ! <u> "}});
}

TEST(WordEncoder, ByteFallbackMayHaveGaps) {
  TokenizerSpec spec;
  spec.tokens = {"<u>", "a", "b", "ab", "\u2581", "<0xC3>", "<0xA9>", "<0xE4>"};
  spec.merges = {{1, 2, 3}};
  spec.byte_fallback = true;
  expect_words(spec, false,
               {{"aéb", "a <0xC3> <0xA9> b "}, {"aäb", "ab "}, {"aäéüb", "a <0xC3> <0xA9> b "}});
  spec.unknown = 0;
  expect_words(spec, false,
               {{"aäb", "a <u> b "},
                {"aäéüb", "a <0xC3> <0xA9> <u> <u> b "},
                {"aäüéäa", "a <u> <0xC3> <0xA9> <u> <u> a "},
                {"äé", "<0xC3> <0xA9> <u> "}});
  spec.fuse_unknown = true;
  expect_words(spec, false,
               {{"aäéüb", "a <0xC3> <0xA9> <u> b "}, {"aäüéäa", "a <0xC3> <0xA9> <u> a "}});
}

}  // namespace
}  // namespace evo::tokenizer
