#include "data/tokens.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/checked.h"
#include "base/random.h"

namespace evo::data {
namespace {

std::vector<TokenSource> one_source(TokenShard shard) {
  std::vector<TokenSource> sources(1);
  sources.front().name = shard.path().string();
  sources.front().shards.push_back(std::move(shard));
  return sources;
}

}  // namespace

TokenFile::TokenFile(TokenShard shard) : TokenFile({}, one_source(std::move(shard))) {
  path_ = sources_.front().name;
}

TokenFile::TokenFile(std::string name, std::vector<TokenSource> sources) : path_(std::move(name)) {
  for (TokenSource& source : sources) {
    EVO_CHECK(!source.shards.empty());
    shards_.push_back(std::move(source.shards));
    sources_.push_back({std::move(source.name), source.weight, {}, {}});
  }
  for (size_t i = 0; i < sources_.size(); ++i) sources_[i].training = add(shards_[i], false);
  held_out_begin_ = size_;
  for (size_t i = 0; i < sources_.size(); ++i) sources_[i].held_out = add(shards_[i], true);
}

TokenRange TokenFile::add(std::span<const TokenShard> shards, bool held_out) {
  const int64_t begin = size_;
  for (const TokenShard& shard : shards) {
    int64_t first = held_out ? shard.held_out_begin() : 0;
    const int64_t last = held_out ? shard.size() : shard.held_out_begin();
    if (first < last && size_ > begin && at(size_ - 1) == shard.at(first)) ++first;
    if (first == last) continue;
    pieces_.push_back({&shard, size_, first, last - first});
    size_ = checked_add(size_, last - first, "the tokens of all shards");
  }
  return {begin, size_};
}

/// fn(piece, index in the piece's shard, how many) for the pieces that hold [begin, begin + count).
template <class Fn>
void TokenFile::for_each_piece(int64_t begin, int64_t count, const Fn& fn) const {
  EVO_CHECK(begin >= 0 && begin <= size_ && count <= size_ - begin);
  if (count == 0) return;
  auto piece = std::prev(std::ranges::upper_bound(pieces_, begin, {}, &Piece::begin));
  for (; count > 0; ++piece) {
    const int64_t skipped = begin - piece->begin;
    const int64_t here = std::min(count, piece->count - skipped);
    fn(*piece->shard, piece->first + skipped, here);
    begin += here;
    count -= here;
  }
}

int32_t TokenFile::at(int64_t index) const {
  int32_t id;
  copy(index, std::span(&id, 1));
  return id;
}

void TokenFile::copy(int64_t begin, std::span<int32_t> out) const {
  for_each_piece(begin, std::ssize(out), [&](const TokenShard& shard, int64_t from, int64_t count) {
    shard.copy(from, out.first(count));
    out = out.subspan(count);
  });
}

void TokenFile::copy_learnt(int64_t begin, std::span<uint8_t> out) const {
  for_each_piece(begin, std::ssize(out), [&](const TokenShard& shard, int64_t from, int64_t count) {
    shard.copy_learnt(from, out.first(count));
    out = out.subspan(count);
  });
}

bool TokenFile::has_unlearnt() const {
  return std::ranges::any_of(shards_, [](const auto& shards) {
    return std::ranges::any_of(shards, &TokenShard::has_unlearnt);
  });
}

uint64_t TokenFile::fingerprint() const {
  uint64_t hash = 0;
  for (size_t i = 0; i < sources_.size(); ++i) {
    hash = stream_id({hash, std::bit_cast<uint64_t>(sources_[i].weight)});
    for (const TokenShard& shard : shards_[i]) hash = stream_id({hash, shard.checksum()});
  }
  return hash;
}

void TokenFile::check_vocabulary(int64_t vocab_size) const {
  for (const auto& shards : shards_) {
    for (const TokenShard& shard : shards) shard.check_vocabulary(vocab_size);
  }
}

}  // namespace evo::data
