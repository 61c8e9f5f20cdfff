#include "io/tokens.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

#include "base/checked.h"

namespace evo {
namespace {

constexpr std::array<char, 8> kMagic = {'E', 'V', 'O', 'T', 'O', 'K', 'E', 'N'};
constexpr uint32_t kVersion = 1;

/// The start of the file as it is on disk; the fields leave no padding.
struct Header {
  std::array<char, 8> magic = kMagic;
  uint32_t version = kVersion;
  uint32_t bytes_per_token = 0;
  uint64_t count = 0;
  uint64_t tokenizer_fingerprint = 0;
  uint64_t source_fingerprint = 0;
  uint64_t max_id = 0;
  uint64_t tokens_checksum = 0;
  uint64_t header_checksum = 0;
};
static_assert(sizeof(Header) == 64);

uint64_t checksum_of(const Header& header) {
  const auto bytes = std::as_bytes(std::span(&header, 1));
  return checksum64(bytes.first(offsetof(Header, header_checksum)));
}

Header read_header(const MappedFile& file) {
  const std::string name = file.path().string();
  Header header;
  if (file.bytes().size() < sizeof header) {
    fail("{} has {} bytes, too few for a token file", name, file.bytes().size());
  }
  std::memcpy(&header, file.bytes().data(), sizeof header);
  if (header.magic != kMagic) fail("{} is not a token file", name);
  if (header.version != kVersion) {
    fail("{}: version {} of the format, expected {}; make the file again", name, header.version,
         kVersion);
  }
  if (checksum_of(header) != header.header_checksum ||
      (header.bytes_per_token != 2 && header.bytes_per_token != 4) ||
      std::cmp_greater(header.max_id, std::numeric_limits<int32_t>::max())) {
    fail("{}: the header is damaged; make the file again", name);
  }
  return header;
}

/// The tokens as they are stored.
std::span<const std::byte> tokens_of(const MappedFile& file, const Header& header) {
  const std::string name = file.path().string();
  const auto tokens = file.bytes().subspan(sizeof header);
  const uint64_t expected = checked_mul(header.count, uint64_t{header.bytes_per_token}, name);
  if (tokens.size() != expected) {
    fail("{}: {} tokens of {} bytes need {} bytes, found {}; make the file again", name,
         header.count, header.bytes_per_token, expected, tokens.size());
  }
  if (checksum64(tokens) != header.tokens_checksum) {
    fail("{}: the checksum is wrong: the file is damaged; make it again", name);
  }
  return tokens;
}

}  // namespace

void write_tokens(const std::filesystem::path& path, std::span<const int32_t> tokens,
                  uint64_t tokenizer_fingerprint, uint64_t source_fingerprint) {
  int32_t max_id = 0;
  for (const int32_t id : tokens) {
    EVO_CHECK(id >= 0);
    max_id = std::max(max_id, id);
  }
  const bool narrow = max_id <= std::numeric_limits<uint16_t>::max();
  std::vector<uint16_t> narrowed;
  if (narrow) narrowed.assign(tokens.begin(), tokens.end());
  const auto bytes = narrow ? std::as_bytes(std::span(narrowed)) : std::as_bytes(tokens);

  Header header;
  header.bytes_per_token = narrow ? 2 : 4;
  header.count = tokens.size();
  header.tokenizer_fingerprint = tokenizer_fingerprint;
  header.source_fingerprint = source_fingerprint;
  header.max_id = static_cast<uint64_t>(max_id);
  header.tokens_checksum = checksum64(bytes);
  header.header_checksum = checksum_of(header);
  write_atomically(path, [&](AtomicFile& file) {
    file.write(std::as_bytes(std::span(&header, 1)));
    file.write(bytes);
  });
}

TokenFile::TokenFile(const std::filesystem::path& path) : file_(path) {
  const Header header = read_header(file_);
  tokens_ = tokens_of(file_, header).data();
  size_ = static_cast<int64_t>(header.count);
  bytes_per_token_ = static_cast<int>(header.bytes_per_token);
  max_id_ = static_cast<int32_t>(header.max_id);
  tokenizer_fingerprint_ = header.tokenizer_fingerprint;
  source_fingerprint_ = header.source_fingerprint;
}

int32_t TokenFile::at(int64_t index) const {
  int32_t id;
  copy(index, std::span(&id, 1));
  return id;
}

void TokenFile::copy(int64_t begin, std::span<int32_t> out) const {
  const auto count = static_cast<int64_t>(out.size());
  EVO_CHECK(begin >= 0 && begin <= size_ && count <= size_ - begin);
  if (out.empty()) return;
  const std::byte* from = tokens_ + begin * bytes_per_token_;
  if (bytes_per_token_ == 4) {
    std::memcpy(out.data(), from, out.size_bytes());
    return;
  }
  // The header has 64 bytes and a mapping starts on a page, so the tokens are aligned.
  std::copy_n(reinterpret_cast<const uint16_t*>(from), count, out.begin());
}

void TokenFile::check_vocabulary(int64_t vocab_size) const {
  if (size_ > 0 && max_id_ >= vocab_size) {
    fail(
        "{}: it has the token id {}, but the vocabulary only {} tokens; was it made with another "
        "tokenizer?",
        path().string(), max_id_, vocab_size);
  }
}

}  // namespace evo
