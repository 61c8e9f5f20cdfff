// Byte-level BPE: any string of bytes to token ids and back, without loss.
//
// Text is cut into words by a pattern (split_pattern.h), then in each word the neighbouring tokens
// with the lowest merge rank, the leftmost first, are joined until no merge applies: what GPT-2 and
// Hugging Face `tokenizers` do. The names of special tokens inside a text are ordinary text.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evo {

struct TokenizerSpec;

/// Immutable, and cheap to copy: copies share their tables. All members may be called from any
/// number of threads at the same time.
class Tokenizer {
 public:
  /// Ids 0..255 are the bytes, merge i makes id 256 + i (or reuses the id of an equal token),
  /// <|endoftext|> comes last. A merge is a pair of ids that exist before it.
  static Tokenizer from_merges(std::span<const std::pair<int32_t, int32_t>> merges);

  /// Checks the spec (unique tokens, a token for each byte, merges that fit); throws Error.
  static Tokenizer from_spec(TokenizerSpec spec);

  /// Reads a Hugging Face tokenizer.json of the byte-level BPE kind. Throws Error that names the
  /// part that is damaged or not supported.
  static Tokenizer load(const std::string& path);

  /// Writes a tokenizer.json that Hugging Face `tokenizers` reads; the same tokenizer always gives
  /// the same bytes. The file appears under its name only when it is complete.
  void save(const std::string& path) const;

  std::vector<int32_t> encode(std::string_view text) const;
  void encode_append(std::string_view text, std::vector<int32_t>& out) const;

  /// The bytes of the ids one after the other; Error for an id outside [0, vocab_size()).
  std::string decode(std::span<const int32_t> ids) const;

  /// Error for an id outside [0, vocab_size()). The view lives as long as any copy of this.
  std::string_view token_bytes(int32_t id) const;

  int32_t vocab_size() const;
  int32_t end_of_text() const;

  /// Hash of all that decides which ids a text gets: the same on every machine and version, so
  /// that a model or a token file can tell that it meets a wrong tokenizer.
  uint64_t fingerprint() const;

  const TokenizerSpec& spec() const;

 private:
  struct State;
  explicit Tokenizer(std::shared_ptr<State> state) : state_(std::move(state)) {}

  std::shared_ptr<State> state_;
};

}  // namespace evo
