#include "grammar/token_trie.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "base/testing.h"
#include "tokenizer/readers/sentencepiece.h"
#include "tokenizer/tokenizer_samples.h"

namespace evo::grammar {
namespace {

/// Tokens that are read to their end when `bytes` are the only ones that may be read.
std::vector<int32_t> readable(const TokenTrie& trie, std::string_view bytes) {
  std::vector<int32_t> tokens;
  trie.walk(
      0,
      [&](int32_t state, uint8_t byte) {
        return bytes.find(static_cast<char>(byte)) == bytes.npos ? -1 : state + 1;
      },
      [&](int32_t token) { tokens.push_back(token); });
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

TEST(TokenTrie, ReadsEachTokenOnceByItsBytes) {
  const tokenizer::Tokenizer tokenizer =
      tokenizer::Tokenizer::from_merges({{{'a', 'b'}, {256, 'c'}, {'b', 'c'}, {'a', 258}}});
  ASSERT_EQ(tokenizer.vocab_size(), 260);  // ab, abc (again by the last merge), bc, end of text
  const TokenTrie trie(tokenizer);
  EXPECT_EQ(readable(trie, "abc"), (std::vector<int32_t>{'a', 'b', 'c', 256, 257, 258}));
  EXPECT_EQ(readable(trie, "ac"), (std::vector<int32_t>{'a', 'c'}));
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(readable(trie, all).size(), 259u);
}

TEST(TokenTrie, SharedBeginningsAreReadOnce) {
  const TokenTrie trie(tokenizer::Tokenizer::from_merges({{{'a', 'b'}, {256, 'c'}, {256, 'd'}}}));
  std::map<std::string, int> reads;
  std::vector<std::string> texts = {""};
  trie.walk(
      0,
      [&](int32_t state, uint8_t byte) {
        texts.push_back(texts[state] + static_cast<char>(byte));
        ++reads[texts.back()];
        return static_cast<int32_t>(texts.size() - 1);
      },
      [](int32_t) {});
  EXPECT_EQ(reads.size(), 256u + 3);
  for (const auto& [text, count] : reads) EXPECT_EQ(count, 1) << text;
}

TEST(TokenTrie, SpecialTokensAreNoText) {
  const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::from_spec(
      tokenizer::parse_sentencepiece(testing::sentencepiece_file(testing::sample_pieces())));
  constexpr int32_t kEnd = 3;  // <0x00>
  const TokenTrie trie(tokenizer, std::vector<int32_t>{kEnd, -1, 100'000, kEnd});
  EXPECT_EQ(trie.bytes(1), "");  // <s>
  EXPECT_EQ(trie.bytes(tokenizer.end_of_text()), "");
  EXPECT_EQ(trie.bytes(-1), "");
  EXPECT_EQ(trie.bytes(tokenizer.vocab_size()), "");
  EXPECT_TRUE(trie.is_end(kEnd));
  EXPECT_FALSE(trie.is_end(tokenizer.end_of_text()));
  EXPECT_TRUE(TokenTrie(tokenizer).is_end(tokenizer.end_of_text()));
  EXPECT_EQ(trie.bytes(kEnd), "");
  EXPECT_EQ(trie.ends().size(), 1u);
  // The piece "\u2581" is a space, as <0x20> is: two tokens of the same bytes.
  EXPECT_EQ(readable(trie, " ").size(), 3u);  // and the piece of two spaces
}

TEST(TokenTrie, EveryByteOfTextsIsNeeded) {
  std::vector<tokenizer::Piece> pieces = testing::sample_pieces();
  std::erase_if(pieces, [](const tokenizer::Piece& piece) {
    return piece.kind == tokenizer::Piece::Kind::kByte;
  });
  for (int c = 0x20; c < 0x7F; ++c) {
    const std::string text(1, static_cast<char>(c));
    if (c == '{' ||
        std::any_of(pieces.begin(), pieces.end(), [&](auto& p) { return p.text == text; })) {
      continue;
    }
    pieces.push_back({text, 0, tokenizer::Piece::Kind::kNormal});
  }
  const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::from_spec(
      tokenizer::parse_sentencepiece(testing::sentencepiece_file(pieces)));
  testing::expect_error([&] { TokenTrie trie(tokenizer); }, {"no token for the byte 0x7B"});
}

}  // namespace
}  // namespace evo::grammar
