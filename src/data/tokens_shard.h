// One token file, mapped. Corpora are read through TokenFile (data/tokens.h), which joins them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "data/tokens_format.h"

namespace evo::data {

class TokenShard {
 public:
  /// Checks everything, the checksum included: one pass over the file, by all threads.
  explicit TokenShard(const std::filesystem::path& path);

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
  /// That of the header, which holds that of the rest: changes with any byte of the file.
  [[nodiscard]] uint64_t checksum() const { return checksum_; }
  [[nodiscard]] int64_t stored_bytes() const { return std::ssize(file_.bytes()); }
  [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }

 private:
  files::MappedFile file_;
  const std::byte* tokens_ = nullptr;
  std::span<const UnlearntRange> unlearnt_;
  int64_t size_ = 0, held_out_begin_ = 0;
  int bytes_per_token_ = 0;
  int32_t max_id_ = 0;
  uint64_t tokenizer_fingerprint_ = 0;
  uint64_t source_fingerprint_ = 0;
  uint64_t checksum_ = 0;
};

}  // namespace evo::data
