#include "hub/digest.h"

#include <openssl/evp.h>

#include <algorithm>

#include "base/error.h"
#include "base/terminal/text_width.h"

namespace evo::hub {

struct Digest::Context {
  Context() { EVO_CHECK(state != nullptr); }
  ~Context() { EVP_MD_CTX_free(state); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  EVP_MD_CTX* state = EVP_MD_CTX_new();
};

DigestKind digest_kind(std::string_view digest, std::string_view source, std::string_view what) {
  constexpr size_t kSha256Digits = 64, kSha1Digits = 40;
  const bool digits = digest.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (digits && digest.size() == kSha256Digits) return DigestKind::kSha256;
  if (digits && digest.size() == kSha1Digits) return DigestKind::kGitBlob;
  fail("{}: {} must be 40 or 64 hexadecimal digits, found '{}'", source, what,
       printable(digest.substr(0, kSha256Digits)));
}

Digest::Digest(DigestKind kind, int64_t size)
    : context_(std::make_unique<Context>()), kind_(kind), size_(size) {
  restart();
}

Digest::~Digest() = default;

void Digest::restart() {
  const bool sha256 = kind_ == DigestKind::kSha256;
  EVO_CHECK(EVP_DigestInit_ex(context_->state, sha256 ? EVP_sha256() : EVP_sha1(), nullptr) == 1);
  if (sha256) return;
  const std::string header = fmt::format("blob {}", size_);
  add({header.c_str(), header.size() + 1});  // with its NUL
}

void Digest::add(std::span<const char> bytes) {
  EVO_CHECK(EVP_DigestUpdate(context_->state, bytes.data(), bytes.size()) == 1);
}

std::string Digest::finish() {
  unsigned char result[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVO_CHECK(EVP_DigestFinal_ex(context_->state, result, &size) == 1);
  std::string digits;
  for (unsigned int i = 0; i < size; ++i) digits += fmt::format("{:02x}", result[i]);
  return digits;
}

}  // namespace evo::hub
