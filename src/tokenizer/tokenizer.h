// Byte-pair encoding: text to token ids and back.
//
// Text is cut into words by a pattern (pre_tokenizer.h), then in each word the neighbouring tokens
// with the lowest merge rank, the leftmost first, are joined until no merge applies: what GPT-2,
// Llama, Qwen and Hugging Face `tokenizers` do. Byte-level tokenizers without a normalizer that
// have a token for each byte, those that evo trains among them, keep any bytes whatsoever. A byte
// or character without a token is, in this order: spelt as <0x00> to <0xFF> if the tokenizer has
// byte_fallback and all these tokens, the unknown token if there is one, left out.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

struct LeadingRule;

struct EncodeOptions {
  /// Names of special tokens inside the text are those tokens. Without it they are ordinary text,
  /// so that no text can pass for the end of a document or for another speaker's turn. (Added
  /// tokens that the file does not call special are found in either case.)
  bool special = false;
  /// Put around the text what the tokenizer's own template says: Llama's first token.
  bool framed = false;
  /// If not empty: what stands behind this is no name of a token, of no kind; itself it is left
  /// out. Tokenizer::guarded() puts it into a text.
  std::string_view guard = {};
};

/// Immutable, and cheap to copy: copies share their tables. All members may be called from any
/// number of threads at the same time.
class Tokenizer {
 public:
  /// Ids 0..255 are the bytes, merge i makes id 256 + i (or reuses the id of an equal token),
  /// <|endoftext|> comes last. A merge is a pair of ids that exist before it.
  static Tokenizer from_merges(std::span<const std::pair<int32_t, int32_t>> merges);

  /// Checks the spec (unique tokens, merges that fit); throws Error.
  static Tokenizer from_spec(TokenizerSpec spec);

  /// Reads any of the forms of tokenizer_files.h, or a folder with one. Throws Error that names the
  /// part that is damaged or not supported.
  static Tokenizer load(const std::string& path);

  /// Writes a tokenizer.json that Hugging Face `tokenizers` reads; the same tokenizer always gives
  /// the same bytes. The file appears under its name only when it is complete.
  void save(const std::string& path) const;

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  void encode_append(std::string_view text, std::vector<int32_t>& out,
                     const EncodeOptions& options = {}) const;

  /// The same ids as encode(text), found by all threads where the tokenizer lets a text be cut.
  std::vector<int32_t> encode_parallel(std::string_view text) const;

  /// The text with `guard` before the name of every added token, or of special ones only.
  std::string guarded(std::string_view text, std::string_view guard, bool special_only) const;

  /// The text of the ids: their bytes one after the other, less what the tokenizer puts before the
  /// beginning of a text. Error for an id outside [0, vocab_size()).
  std::string decode(std::span<const int32_t> ids) const;

  /// The same for ids that follow others: nothing is taken off.
  std::string decode_more(std::span<const int32_t> ids) const;

  /// Error for an id outside [0, vocab_size()). The view lives as long as any copy of this. Texts
  /// that begin elsewhere need no more than this; see TextStream for the beginning of a text.
  std::string_view token_bytes(int32_t id) const;

  /// Id of the token whose text is `name`, among the added tokens only; -1 if there is none.
  int32_t added_token(std::string_view name) const;
  bool is_special(int32_t id) const;

  /// One more than the highest id; not every id below has a token.
  int32_t vocab_size() const;
  /// The same without added tokens: rows that a model must have at least.
  int32_t ordinary_size() const;
  /// Whether there is a token with this id.
  bool has(int32_t id) const;
  /// -1 if no token is known to end a text.
  int32_t end_of_text() const;
  /// The same; Error that says what to do if there is none.
  int32_t need_end_of_text() const;

  /// What EncodeOptions::framed puts before a text; empty for most tokenizers.
  std::span<const int32_t> prefix() const;

  /// What a model's text begins with: prefix(), or if that is empty and the tokenizer is one of
  /// evo's own (from_merges()) the end of the text before, as in the data that evo trains on.
  std::span<const int32_t> begin_of_text() const;

  /// Hash of all that decides which ids a text gets: the same on every machine and version, so
  /// that a model or a token file can tell that it meets a wrong tokenizer.
  uint64_t fingerprint() const;

  const TokenizerSpec& spec() const;

 private:
  friend class TextStream;
  struct State;
  explicit Tokenizer(std::shared_ptr<State> state) : state_(std::move(state)) {}
  const LeadingRule& leading() const;

  std::shared_ptr<State> state_;
};

/// Ids to text as they come: what push() gives, joined, is decode() of all ids.
class TextStream {
 public:
  explicit TextStream(Tokenizer tokenizer);

  std::string push(int32_t id);

 private:
  Tokenizer tokenizer_;
  int to_strip_;  // times that the leading rule may still apply
};

}  // namespace evo::tokenizer
