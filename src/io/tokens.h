// Token files: a corpus as an array of token ids, the held-out documents last.
//
//   8 bytes  "EVOTOKEN"
//   u32      version (2)
//   u32      bytes per token: 2 if every id is below 65536, else 4
//   u64      number of tokens
//   u64      number of tokens before the held-out ones
//   u64      number of unlearnt ranges
//   u64      fingerprint of the tokenizer     } so that a file made from another text or by another
//   u64      fingerprint of the source text   } tokenizer is noticed
//   u64      largest id (0 if there are no tokens)
//   u64      checksum64 of the checksum64s of the body, in pieces of 1 MiB
//   u64      0
//   u64      checksum64 of the bytes above
//   tokens, little endian, padded with zeros to a multiple of 8 bytes
//   unlearnt ranges: u64 begin, u64 end each, in order and apart
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "io/files.h"

namespace evo {

/// Tokens [begin, end), which are context but no targets: what a user says in a conversation.
struct UnlearntRange {
  uint64_t begin = 0, end = 0;
};

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
  void commit(uint64_t tokenizer_fingerprint, uint64_t source_fingerprint);

 private:
  struct Part {
    std::vector<int32_t> tokens;  // not written yet
    std::vector<UnlearntRange> unlearnt;
    uint64_t count = 0;
  };
  void append(Part& part, std::span<const int32_t> tokens, bool learn);
  void write_tokens(std::span<const int32_t> tokens);
  void write_body(std::span<const std::byte> bytes);

  AtomicFile file_;
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

class TokenFile {
 public:
  /// Checks everything, the checksum included (one pass over the file).
  explicit TokenFile(const std::filesystem::path& path);

  [[nodiscard]] int64_t size() const { return size_; }
  /// The first of the held-out tokens, which go on to the end; size() if none are.
  [[nodiscard]] int64_t held_out_begin() const { return held_out_begin_; }
  [[nodiscard]] int32_t at(int64_t index) const;
  /// Copies tokens begin .. begin + out.size() - 1.
  void copy(int64_t begin, std::span<int32_t> out) const;
  /// out[i] = 1 if token begin + i is a target, else 0.
  void copy_learnt(int64_t begin, std::span<uint8_t> out) const;
  /// True if there are tokens that are no targets.
  [[nodiscard]] bool has_unlearnt() const { return !unlearnt_.empty(); }
  [[nodiscard]] int32_t max_id() const { return max_id_; }
  /// Throws Error if an id is not below `vocab_size`.
  void check_vocabulary(int64_t vocab_size) const;
  [[nodiscard]] uint64_t tokenizer_fingerprint() const { return tokenizer_fingerprint_; }
  [[nodiscard]] uint64_t source_fingerprint() const { return source_fingerprint_; }
  [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }

 private:
  MappedFile file_;
  const std::byte* tokens_ = nullptr;
  std::span<const UnlearntRange> unlearnt_;
  int64_t size_ = 0, held_out_begin_ = 0;
  int bytes_per_token_ = 0;
  int32_t max_id_ = 0;
  uint64_t tokenizer_fingerprint_ = 0;
  uint64_t source_fingerprint_ = 0;
};

}  // namespace evo
