// What a tokenizer consists of, as plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace evo::tokenizer {

inline constexpr const char* kEndOfText = "<|endoftext|>";

/// Token `left` followed by token `right` becomes token `result`, whose text is theirs joined.
struct Merge {
  int32_t left = 0;
  int32_t right = 0;
  int32_t result = 0;
  bool operator==(const Merge&) const = default;
};

/// A token outside the merges, such as <|endoftext|>. The flags are Hugging Face's.
struct AddedToken {
  int32_t id = 0;
  bool in_vocab = true;      ///< listed in the model's vocabulary too
  bool single_word = false;  ///< found only where no letter or digit touches it
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space behind it
  bool normalized = false;   ///< looked for in the normalized text
  bool verbatim = false;     ///< and there as it is, not normalized itself
  bool special = true;       ///< ordinary text unless the caller asks for special tokens
  /// Not added at all, but a token that no text becomes: of a byte-level vocabulary one whose name
  /// is not in GPT-2's alphabet, and which decodes to its name; of SentencePiece an unused one.
  bool hidden = false;
  bool operator==(const AddedToken&) const = default;
};

/// How a word becomes tokens: by merges; as the likeliest of all cuts (models/unigram.h); by the
/// longest tokens from its beginning on (models/word_piece.h); or as a token or not at all.
enum class TokenizerModel { kBpe, kUnigram, kWordPiece, kWordLevel };

/// The parts of tokenizer.json, in its own words, that say what a byte-level tokenizer with
/// kGpt2Pattern does.
inline constexpr const char* kByteLevelJson =
    R"({"add_prefix_space":false,"trim_offsets":true,"type":"ByteLevel","use_regex":true})";

struct TokenizerSpec {
  TokenizerModel model = TokenizerModel::kBpe;
  /// [V] the text of each id. Byte-level: its bytes. Otherwise: characters as the vocabulary has
  /// them, before decoding ("\u2581the", "<0x0A>"). Empty: no token has this id.
  std::vector<std::string> tokens;
  std::vector<double> scores;       ///< [V] Unigram: logarithms of probabilities; else empty
  std::string continuation = "##";  ///< WordPiece: see WordPieceTable
  size_t longest_word = 100;        ///< the same
  std::vector<Merge> merges;        ///< rank is the place in this list
  std::vector<AddedToken> added;    ///< in the order of the file
  bool ignore_merges = false;  ///< a word that is a token is that token, whatever the merges say
  bool byte_fallback = false;  ///< unknown characters become <0x00> .. <0xFF>
  bool fuse_unknown = false;   ///< neighbouring unknown characters are one unknown token
  int32_t unknown = -1;        ///< id of the token for unknown characters; -1: none
  /// The token that ends a text, if none is named as one; empty: none.
  std::string end_of_text;

  /// Sections of tokenizer.json as JSON text, keys sorted, without white space. What they mean is
  /// in normalizer.h, pre_tokenizer.h, text_decoder.h and post_processor.h.
  std::string normalizer = "null";
  std::string pre_tokenizer = kByteLevelJson;
  std::string post_processor = "null";
  std::string decoder = kByteLevelJson;

  bool operator==(const TokenizerSpec&) const = default;
};

}  // namespace evo::tokenizer
