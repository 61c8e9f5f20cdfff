#include "data/tokens_writer.h"

#include <algorithm>
#include <limits>

namespace evo::data {
namespace {

using namespace token_format;

constexpr size_t kWriteTokens = size_t{1} << 18;  // that are written at a time

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
    checksums_.push_back(files::checksum64(piece_));
    piece_.clear();
  }
}

uint64_t TokenWriter::commit(uint64_t tokenizer_fingerprint, uint64_t source_fingerprint) {
  write_tokens(training_.tokens);
  write_tokens(held_out_.tokens);
  const std::array<std::byte, kAlignment> zeros{};
  write_body(std::span(zeros).first(padded(body_bytes_) - body_bytes_));
  std::vector<UnlearntRange> unlearnt = std::move(training_.unlearnt);
  for (UnlearntRange range : held_out_.unlearnt) {
    unlearnt.push_back({range.begin + training_.count, range.end + training_.count});
  }
  write_body(std::as_bytes(std::span(unlearnt)));
  if (!piece_.empty()) checksums_.push_back(files::checksum64(piece_));

  Header header;
  header.bytes_per_token = narrow_ ? 2 : 4;
  header.count = training_.count + held_out_.count;
  header.held_out_begin = training_.count;
  header.unlearnt_ranges = unlearnt.size();
  header.tokenizer_fingerprint = tokenizer_fingerprint;
  header.source_fingerprint = source_fingerprint;
  header.max_id = static_cast<uint64_t>(max_id_);
  header.body_checksum = body_checksum(checksums_);
  header.header_checksum = checksum_of(header);
  file_.rewrite(0, std::as_bytes(std::span(&header, 1)));
  file_.commit();
  return header.header_checksum;
}

void write_tokens(const std::filesystem::path& path, std::span<const int32_t> tokens,
                  uint64_t tokenizer_fingerprint, uint64_t source_fingerprint) {
  const int32_t largest = tokens.empty() ? 0 : std::ranges::max(tokens);
  TokenWriter writer(path, int64_t{largest} + 1);
  writer.append(tokens);
  writer.commit(tokenizer_fingerprint, source_fingerprint);
}

}  // namespace evo::data
