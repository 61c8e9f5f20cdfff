// What a tokenizer consists of, as plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/split_pattern.h"

namespace evo {

inline constexpr const char* kEndOfText = "<|endoftext|>";
inline constexpr const char* kLlamaEndOfText = "<|end_of_text|>";

/// Token `left` followed by token `right` becomes token `result`, whose bytes are theirs joined.
struct Merge {
  int32_t left = 0;
  int32_t right = 0;
  int32_t result = 0;
  bool operator==(const Merge&) const = default;
};

/// A token outside the merges, such as <|endoftext|>. The flags are Hugging Face's: they tell
/// that library how to find the token in text and do not matter here.
struct AddedToken {
  int32_t id = 0;
  bool in_vocab = true;  ///< listed in the model's vocabulary too
  bool single_word = false, lstrip = false, rstrip = false, normalized = false, special = true;
  bool operator==(const AddedToken&) const = default;
};

struct TokenizerSpec {
  std::vector<std::string> tokens;  ///< [V] bytes of each id
  std::vector<Merge> merges;        ///< rank is the place in this list
  std::vector<AddedToken> added;    ///< in the order of the file
  std::string pattern = kGpt2Pattern;
  bool ignore_merges = false;  ///< a word that is a token is that token, whatever the merges say

  // Parts of the file that encode() does not apply, kept as JSON text so that save() keeps them.
  std::string normalizer = "null";
  std::string post_processor = "null";

  bool operator==(const TokenizerSpec&) const = default;
};

}  // namespace evo
