// What turning words into token ids reads; shared by threads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "tokenizer/bpe/merge_table.h"
#include "tokenizer/models/unigram.h"
#include "tokenizer/models/word_piece.h"
#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

/// Token text -> id. The keys are views into a spec.
using TokenIds = std::unordered_map<std::string_view, int32_t>;

/// What SentencePiece writes for a space: U+2581.
inline constexpr std::string_view kSpaceMark = "\u2581";

struct WordTables {
  /// Checks the spec (unique tokens, merges that fit); throws Error. `spec` must outlive the
  /// tables.
  WordTables(const TokenizerSpec& spec, bool words_are_bytes);

  TokenizerModel model;
  std::optional<UnigramTable> unigram;  ///< of a Unigram model
  WordPieceTable word_piece;            ///< of a WordPiece or WordLevel model

  bool byte_level;
  MergeTable merges;
  /// What merging begins with: bytes, if byte_level, else characters. What is not here is spelt by
  /// `fallback`, or else is the unknown token, or else is left out.
  std::array<int32_t, 256> bytes{};  ///< [256] ids; -1: no token
  TokenIds characters;
  /// [256] ids of <0x00> to <0xFF>; -1: no token.
  std::array<int32_t, 256> fallback{};
  /// Words that are tokens without merging; empty unless the tokenizer ignores merges for them.
  TokenIds whole_words;
  int32_t unknown;    ///< -1: none
  bool fuse_unknown;  ///< neighbouring unknown characters are one token

  /// No merge joins anything to a kSpaceMark behind it: a word cut before such marks gets the same
  /// ids. It makes words of texts that have no pre-tokenizer, as Llama-2's.
  bool cut_at_space_marks;
};

}  // namespace evo::tokenizer
