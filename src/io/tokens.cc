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
constexpr uint32_t kVersion = 2;
constexpr size_t kPiece = size_t{1} << 20;        // of the body, with a checksum of its own
constexpr size_t kWriteTokens = size_t{1} << 18;  // that are written at a time
constexpr uint64_t kAlignment = sizeof(uint64_t);

/// The start of the file as it is on disk; the fields leave no padding.
struct Header {
  std::array<char, 8> magic = kMagic;
  uint32_t version = kVersion;
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

uint64_t checksum_of(const Header& header) {
  const auto bytes = std::as_bytes(std::span(&header, 1));
  return checksum64(bytes.first(offsetof(Header, header_checksum)));
}

uint64_t body_checksum(std::span<const std::byte> body) {
  std::vector<uint64_t> checksums;
  for (; !body.empty(); body = body.subspan(std::min(kPiece, body.size()))) {
    checksums.push_back(checksum64(body.first(std::min(kPiece, body.size()))));
  }
  return checksum64(std::as_bytes(std::span(checksums)));
}

uint64_t padded(uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

Header read_header(const MappedFile& file) {
  const std::string name = file.path().string();
  Header header;
  // The version of another format must be named even if that has a shorter header.
  const size_t known = std::min(file.bytes().size(), sizeof header);
  std::memcpy(&header, file.bytes().data(), known);
  if (known < offsetof(Header, bytes_per_token)) {
    fail("{} has {} bytes, too few for a token file", name, file.bytes().size());
  }
  if (header.magic != kMagic) fail("{} is not a token file", name);
  if (header.version != kVersion) {
    fail("{}: version {} of the format, expected {}; make the file again", name, header.version,
         kVersion);
  }
  if (known < sizeof header) {
    fail("{} has {} bytes, too few for a token file", name, file.bytes().size());
  }
  if (checksum_of(header) != header.header_checksum ||
      (header.bytes_per_token != 2 && header.bytes_per_token != 4) ||
      header.held_out_begin > header.count ||
      std::cmp_greater(header.max_id, std::numeric_limits<int32_t>::max())) {
    fail("{}: the header is damaged; make the file again", name);
  }
  return header;
}

/// Tokens and ranges as they are stored.
std::span<const std::byte> body_of(const MappedFile& file, const Header& header) {
  const std::string name = file.path().string();
  const auto body = file.bytes().subspan(sizeof header);
  const uint64_t tokens = checked_mul(header.count, uint64_t{header.bytes_per_token}, name);
  const uint64_t ranges = checked_mul(header.unlearnt_ranges, sizeof(UnlearntRange), name);
  if (body.size() < ranges || body.size() - ranges != padded(tokens)) {
    fail("{}: {} tokens of {} bytes and {} ranges need {} bytes, found {}; make the file again",
         name, header.count, header.bytes_per_token, header.unlearnt_ranges,
         padded(tokens) + ranges, body.size());
  }
  if (body_checksum(body) != header.body_checksum) {
    fail("{}: the checksum is wrong: the file is damaged; make it again", name);
  }
  return body;
}

}  // namespace

TokenWriter::TokenWriter(const std::filesystem::path& path, int64_t vocab_size)
    : file_(path),
      vocab_size_(vocab_size),
      narrow_(vocab_size <= int64_t{std::numeric_limits<uint16_t>::max()} + 1) {
  const Header room;
  file_.write(std::as_bytes(std::span(&room, 1)));
}

void TokenWriter::append(Part& part, std::span<const int32_t> tokens, bool learn) {
  if (tokens.empty()) return;
  const auto [least, most] = std::ranges::minmax(tokens);
  EVO_CHECK(least >= 0 && most < vocab_size_);
  max_id_ = std::max(max_id_, most);
  part.tokens.insert(part.tokens.end(), tokens.begin(), tokens.end());
  const uint64_t begin = part.count;
  part.count += tokens.size();
  if (!learn && !part.unlearnt.empty() && part.unlearnt.back().end == begin) {
    part.unlearnt.back().end = part.count;
  } else if (!learn) {
    part.unlearnt.push_back({begin, part.count});
  }
  if (&part == &training_ && part.tokens.size() >= kWriteTokens) {
    write_tokens(part.tokens);
    part.tokens.clear();
  }
}

void TokenWriter::write_tokens(std::span<const int32_t> tokens) {
  if (!narrow_) return write_body(std::as_bytes(tokens));
  const std::vector<uint16_t> narrowed(tokens.begin(), tokens.end());
  write_body(std::as_bytes(std::span(narrowed)));
}

void TokenWriter::write_body(std::span<const std::byte> bytes) {
  file_.write(bytes);
  body_bytes_ += bytes.size();
  while (!bytes.empty()) {
    const size_t count = std::min(bytes.size(), kPiece - piece_.size());
    piece_.insert(piece_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes = bytes.subspan(count);
    if (piece_.size() < kPiece) continue;
    checksums_.push_back(checksum64(piece_));
    piece_.clear();
  }
}

void TokenWriter::commit(uint64_t tokenizer_fingerprint, uint64_t source_fingerprint) {
  write_tokens(training_.tokens);
  write_tokens(held_out_.tokens);
  const std::array<std::byte, kAlignment> zeros{};
  write_body(std::span(zeros).first(padded(body_bytes_) - body_bytes_));
  std::vector<UnlearntRange> unlearnt = std::move(training_.unlearnt);
  for (UnlearntRange range : held_out_.unlearnt) {
    unlearnt.push_back({range.begin + training_.count, range.end + training_.count});
  }
  write_body(std::as_bytes(std::span(unlearnt)));
  if (!piece_.empty()) checksums_.push_back(checksum64(piece_));

  Header header;
  header.bytes_per_token = narrow_ ? 2 : 4;
  header.count = training_.count + held_out_.count;
  header.held_out_begin = training_.count;
  header.unlearnt_ranges = unlearnt.size();
  header.tokenizer_fingerprint = tokenizer_fingerprint;
  header.source_fingerprint = source_fingerprint;
  header.max_id = static_cast<uint64_t>(max_id_);
  header.body_checksum = checksum64(std::as_bytes(std::span(checksums_)));
  header.header_checksum = checksum_of(header);
  file_.rewrite(0, std::as_bytes(std::span(&header, 1)));
  file_.commit();
}

void write_tokens(const std::filesystem::path& path, std::span<const int32_t> tokens,
                  uint64_t tokenizer_fingerprint, uint64_t source_fingerprint) {
  const int32_t largest = tokens.empty() ? 0 : std::ranges::max(tokens);
  TokenWriter writer(path, int64_t{largest} + 1);
  writer.append(tokens);
  writer.commit(tokenizer_fingerprint, source_fingerprint);
}

TokenFile::TokenFile(const std::filesystem::path& path) : file_(path) {
  const Header header = read_header(file_);
  const auto body = body_of(file_, header);
  tokens_ = body.data();
  // Header, padded tokens and mapping are aligned, so the ranges are.
  unlearnt_ = {
      reinterpret_cast<const UnlearntRange*>(body.data() + body.size()) - header.unlearnt_ranges,
      header.unlearnt_ranges};
  size_ = static_cast<int64_t>(header.count);
  held_out_begin_ = static_cast<int64_t>(header.held_out_begin);
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
  // The header is a multiple of 8 bytes and a mapping starts on a page: the tokens are aligned.
  std::copy_n(reinterpret_cast<const uint16_t*>(from), count, out.begin());
}

void TokenFile::copy_learnt(int64_t begin, std::span<uint8_t> out) const {
  const auto count = static_cast<int64_t>(out.size());
  EVO_CHECK(begin >= 0 && begin <= size_ && count <= size_ - begin);
  std::ranges::fill(out, uint8_t{1});
  const auto first = static_cast<uint64_t>(begin), last = first + out.size();
  auto range = std::ranges::upper_bound(unlearnt_, first, {}, &UnlearntRange::end);
  for (; range != unlearnt_.end() && range->begin < last; ++range) {
    const uint64_t from = std::max(range->begin, first) - first;
    const uint64_t to = std::min(range->end, last) - first;
    std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(from), to - from, uint8_t{0});
  }
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
