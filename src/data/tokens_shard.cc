#include "data/tokens_shard.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "base/checked.h"
#include "base/threads/parallel.h"

namespace evo::data {
namespace {

using namespace token_format;

uint64_t checksum_of_body(std::span<const std::byte> body) {
  std::vector<uint64_t> pieces((body.size() + kPiece - 1) / kPiece);
  parallel_items(std::ssize(pieces), [&](int64_t i) {
    const auto rest = body.subspan(static_cast<size_t>(i) * kPiece);
    pieces[i] = files::checksum64(rest.first(std::min(kPiece, rest.size())));
  });
  return body_checksum(pieces);
}

Header read_header(const files::MappedFile& file) {
  const std::string name = file.path().string();
  Header header;
  // The version of another format must be named even if that has a shorter header.
  const size_t known = std::min(file.bytes().size(), sizeof header);
  std::memcpy(&header, file.bytes().data(), known);
  if (known < offsetof(Header, bytes_per_token)) {
    fail("{} has {} bytes, too few for a token file", name, file.bytes().size());
  }
  if (header.magic != kMagic) fail("{} is not a token file", name);
  if (header.version != kTokensVersion) {
    fail("{}: version {} of the format, expected {}; make the file again", name, header.version,
         kTokensVersion);
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
std::span<const std::byte> body_of(const files::MappedFile& file, const Header& header) {
  const std::string name = file.path().string();
  const auto body = file.bytes().subspan(sizeof header);
  const uint64_t tokens = checked_mul(header.count, uint64_t{header.bytes_per_token}, name);
  const uint64_t ranges = checked_mul(header.unlearnt_ranges, sizeof(UnlearntRange), name);
  if (body.size() < ranges || body.size() - ranges != padded(tokens)) {
    fail("{}: {} tokens of {} bytes and {} ranges need {} bytes, found {}; make the file again",
         name, header.count, header.bytes_per_token, header.unlearnt_ranges,
         padded(tokens) + ranges, body.size());
  }
  if (const uint64_t found = checksum_of_body(body); found != header.body_checksum) {
    fail("{}: its checksum is {:016x}, expected {:016x}: the file is damaged; make it again", name,
         found, header.body_checksum);
  }
  return body;
}

}  // namespace

TokenShard::TokenShard(const std::filesystem::path& path) : file_(path) {
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
  checksum_ = header.header_checksum;
}

int32_t TokenShard::at(int64_t index) const {
  int32_t id;
  copy(index, std::span(&id, 1));
  return id;
}

void TokenShard::copy(int64_t begin, std::span<int32_t> out) const {
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

void TokenShard::copy_learnt(int64_t begin, std::span<uint8_t> out) const {
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

void TokenShard::check_vocabulary(int64_t vocab_size) const {
  if (size_ > 0 && max_id_ >= vocab_size) {
    fail(
        "{}: it has the token id {}, but the vocabulary only {} tokens; was it made with another "
        "tokenizer?",
        path().string(), max_id_, vocab_size);
  }
}

}  // namespace evo::data
