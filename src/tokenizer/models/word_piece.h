// WordPiece models, as BERT has them: a word is cut into the longest tokens from its beginning on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace evo::tokenizer {

struct WordPieceTable {
  std::unordered_map<std::string_view, int32_t> ids;
  std::string continuation = "##";  ///< begins the names of tokens that do not begin a word
  size_t longest_word = 100;        ///< in characters; longer ones are unknown
  int32_t unknown = 0;

  /// Appends the ids of `word`, or `unknown` alone if it cannot be made of tokens.
  void encode_append(std::string_view word, std::vector<int32_t>& out) const;
};

}  // namespace evo::tokenizer
