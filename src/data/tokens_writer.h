// Writing a token file, whole or a shard of a corpus.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "data/tokens_format.h"

namespace evo::data {

/// Writes a token file piece by piece; it appears under its name on commit().
class TokenWriter {
 public:
  /// Every id will be below `vocab_size`.
  TokenWriter(const std::filesystem::path& path, int64_t vocab_size);

  /// Behind the tokens so far; ids must not be negative. Those with `learn` false are no targets.
  void append(std::span<const int32_t> tokens, bool learn = true) {
    append(training_, tokens, learn);
  }
  /// The same for the held-out part, which is kept in memory until commit().
  void append_held_out(std::span<const int32_t> tokens, bool learn = true) {
    append(held_out_, tokens, learn);
  }

  /// Tokens so far, those held out among them.
  [[nodiscard]] int64_t size() const {
    return static_cast<int64_t>(training_.count + held_out_.count);
  }
  [[nodiscard]] int64_t held_out_size() const { return static_cast<int64_t>(held_out_.count); }

  /// Returns the checksum of the file, TokenShard::checksum().
  uint64_t commit(uint64_t tokenizer_fingerprint, uint64_t source_fingerprint);

 private:
  struct Part {
    std::vector<int32_t> tokens;  // not written yet
    std::vector<UnlearntRange> unlearnt;
    uint64_t count = 0;
  };
  void append(Part& part, std::span<const int32_t> tokens, bool learn);
  void write_tokens(std::span<const int32_t> tokens);
  void write_body(std::span<const std::byte> bytes);

  files::AtomicFile file_;
  int64_t vocab_size_;
  bool narrow_;
  Part training_, held_out_;
  int32_t max_id_ = 0;
  uint64_t body_bytes_ = 0;
  std::vector<std::byte> piece_;  // of the body, not checksummed yet
  std::vector<uint64_t> checksums_;
};

/// All tokens at once, none of them held out.
void write_tokens(const std::filesystem::path& path, std::span<const int32_t> tokens,
                  uint64_t tokenizer_fingerprint, uint64_t source_fingerprint);

}  // namespace evo::data
