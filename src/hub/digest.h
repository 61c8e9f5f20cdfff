// The digests that a hub names a file's content by.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace evo::hub {

/// What a hub says of a file: large ones by the SHA-256 of their bytes (Git LFS), small ones by the
/// id that Git gives them, the SHA-1 of a header with the size and then the bytes.
enum class DigestKind { kSha256, kGitBlob };

/// The kind that a digest in lower-case hexadecimal digits is of, by its length (64 or 40).
/// Throws Error, with `source` and `what`, for anything else.
[[nodiscard]] DigestKind digest_kind(std::string_view digest, std::string_view source,
                                     std::string_view what);

/// Reads a content piece by piece.
class Digest {
 public:
  /// Of a content of `size` bytes, which kGitBlob begins with.
  Digest(DigestKind kind, int64_t size);
  ~Digest();
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void add(std::span<const char> bytes);
  /// In lower-case hexadecimal digits; once, at the end.
  [[nodiscard]] std::string finish();
  /// Back to the beginning.
  void restart();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
  DigestKind kind_;
  int64_t size_;
};

}  // namespace evo::hub
