// Token files: a corpus as an array of token ids.
//
//   8 bytes  "EVOTOKEN"
//   u32      version (1)
//   u32      bytes per token: 2 if every id is below 65536, else 4
//   u64      number of tokens
//   u64      fingerprint of the tokenizer     } so that a file made from another text or by another
//   u64      fingerprint of the source text   } tokenizer is noticed
//   u64      largest id (0 if there are no tokens)
//   u64      checksum64 of the tokens
//   u64      checksum64 of the bytes above
//   tokens, little endian
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "io/files.h"

namespace evo {

/// Writes atomically. Ids must not be negative.
void write_tokens(const std::filesystem::path& path, std::span<const int32_t> tokens,
                  uint64_t tokenizer_fingerprint, uint64_t source_fingerprint);

class TokenFile {
 public:
  /// Checks everything, the checksum included (one pass over the file).
  explicit TokenFile(const std::filesystem::path& path);

  [[nodiscard]] int64_t size() const { return size_; }
  [[nodiscard]] int32_t at(int64_t index) const;
  /// Copies tokens begin .. begin + out.size() - 1.
  void copy(int64_t begin, std::span<int32_t> out) const;
  [[nodiscard]] int32_t max_id() const { return max_id_; }
  /// Throws Error if an id is not below `vocab_size`.
  void check_vocabulary(int64_t vocab_size) const;
  [[nodiscard]] uint64_t tokenizer_fingerprint() const { return tokenizer_fingerprint_; }
  [[nodiscard]] uint64_t source_fingerprint() const { return source_fingerprint_; }
  [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }

 private:
  MappedFile file_;
  const std::byte* tokens_ = nullptr;
  int64_t size_ = 0;
  int bytes_per_token_ = 0;
  int32_t max_id_ = 0;
  uint64_t tokenizer_fingerprint_ = 0;
  uint64_t source_fingerprint_ = 0;
};

}  // namespace evo
