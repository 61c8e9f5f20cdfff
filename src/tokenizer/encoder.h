// Text to token ids for one thread: added tokens, normalizer, pre-tokenizer, words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/bpe/word_encoder.h"
#include "tokenizer/steps/added_tokens.h"
#include "tokenizer/steps/normalizer.h"
#include "tokenizer/steps/pre_tokenizer.h"

namespace evo::tokenizer {

/// What encoding reads; shared by threads.
struct EncodingTables {
  /// Throws Error if the spec is damaged. `spec` must outlive the tables.
  explicit EncodingTables(const TokenizerSpec& spec);

  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  AddedTokenFinder added;             ///< those that are looked for in the text as it is
  AddedTokenFinder normalized_added;  ///< those that are looked for in the normalized text
  AddedTokenFinder names;             ///< all, as people write them
  WordTables words;
};

/// `text` less every `guard` in it.
[[nodiscard]] std::string without_guards(std::string_view text, std::string_view guard);

class Encoder {
 public:
  /// `tables` must outlive this.
  explicit Encoder(const EncodingTables& tables);
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  /// `special`: names of special tokens in the text are those tokens. `guard` is left out, and what
  /// stands behind it is no name of any token.
  void encode_append(std::string_view text, bool special, std::string_view guard,
                     std::vector<int32_t>& out);

 private:
  void encode_text(std::string_view text, bool at_start, bool special, std::string_view guard);

  const EncodingTables& tables_;
  WordCutter cutter_;
  WordEncoder words_;
  WordCutter::Sink sink_;
  std::vector<int32_t>* out_ = nullptr;  // while encoding
  std::string memory_;                   // of the normalizer
};

}  // namespace evo::tokenizer
