// The bytes of a token file, for its writer (data/tokens_writer.h) and its reader
// (data/tokens_shard.h).
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

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "files/files.h"

namespace evo::data {

/// Tokens [begin, end), which are context but no targets: what a user says in a conversation.
struct UnlearntRange {
  uint64_t begin = 0, end = 0;
};

namespace token_format {

inline constexpr std::array<char, 8> kMagic = {'E', 'V', 'O', 'T', 'O', 'K', 'E', 'N'};
inline constexpr uint32_t kTokensVersion = 2;
inline constexpr size_t kPiece = size_t{1} << 20;  // of the body, with a checksum of its own
inline constexpr uint64_t kAlignment = sizeof(uint64_t);

/// The start of the file as it is on disk; the fields leave no padding.
struct Header {
  std::array<char, 8> magic = kMagic;
  uint32_t version = kTokensVersion;
  uint32_t bytes_per_token = 0;
  uint64_t count = 0;
  uint64_t held_out_begin = 0;
  uint64_t unlearnt_ranges = 0;
  uint64_t tokenizer_fingerprint = 0;
  uint64_t source_fingerprint = 0;
  uint64_t max_id = 0;
  uint64_t body_checksum = 0;
  uint64_t reserved = 0;
  uint64_t header_checksum = 0;
};
static_assert(sizeof(Header) == 88);

[[nodiscard]] inline uint64_t checksum_of(const Header& header) {
  const auto bytes = std::as_bytes(std::span(&header, 1));
  return files::checksum64(bytes.first(offsetof(Header, header_checksum)));
}

/// Of the checksums of the pieces of a body.
[[nodiscard]] inline uint64_t body_checksum(std::span<const uint64_t> pieces) {
  return files::checksum64(std::as_bytes(pieces));
}

[[nodiscard]] inline uint64_t padded(uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace token_format
}  // namespace evo::data
