#include "io/loader.h"

#include <algorithm>
#include <bit>

#include "base/random.h"

namespace evo {
namespace {

// Purposes of random numbers; "load", as other parts number theirs under the same seed.
constexpr uint64_t kOrderStream = 0x6C6F6164'0001;
constexpr uint64_t kPhaseStream = 0x6C6F6164'0002;

int64_t sequences_in(int64_t tokens, int64_t length, bool shuffle) {
  // Shuffled, one length is left free for the phase to vary in, unless the text is so short that
  // this would leave no sequence.
  const int64_t targets = tokens - 1;
  return shuffle ? std::max<int64_t>(1, (targets - (length - 1)) / length) : targets / length;
}

}  // namespace

Permutation::Permutation(uint64_t size, uint64_t seed, uint64_t stream)
    : size_(size), key_(stream_id({seed, stream})) {
  EVO_CHECK(size > 0);
  half_bits_ = std::max(1, (static_cast<int>(std::bit_width(size - 1)) + 1) / 2);
}

uint64_t Permutation::encrypt(uint64_t value) const {
  constexpr uint32_t kRounds = 6;
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = value >> half_bits_, right = value & mask;
  for (uint32_t round = 0; round < kRounds; ++round) {
    const auto words = philox({static_cast<uint32_t>(right), round, 0, 0},
                              {static_cast<uint32_t>(key_), static_cast<uint32_t>(key_ >> 32)});
    const uint64_t mixed = left ^ (words[0] & mask);
    left = right;
    right = mixed;
  }
  return (left << half_bits_) | right;
}

uint64_t Permutation::operator()(uint64_t index) const {
  EVO_CHECK(index < size_);
  // The walk ends: it follows a cycle of a bijection that contains `index` itself.
  do index = encrypt(index);
  while (index >= size_);
  return index;
}

SequenceLoader::SequenceLoader(const TokenFile& tokens, int64_t begin, int64_t end, int64_t length,
                               int64_t vocab_size, uint64_t seed, bool shuffle)
    : tokens_(tokens), begin_(begin), length_(length), seed_(seed), shuffle_(shuffle) {
  EVO_CHECK(length >= 1 && 0 <= begin && begin <= end && end <= tokens.size());
  tokens.check_vocabulary(vocab_size);
  const int64_t available = end - begin;
  if (available <= length) {
    fail(
        "{}: a sequence of length {} needs {} tokens, but this part of the text has {}; use a "
        "longer text or a shorter sequence",
        tokens.path().string(), length, length + 1, available);
  }
  per_epoch_ = sequences_in(available, length, shuffle);
  phases_ = shuffle ? available - per_epoch_ * length : 1;
}

int64_t SequenceLoader::start_of(int64_t index) const {
  EVO_CHECK(index >= 0);
  int64_t window = index % per_epoch_, phase = 0;
  if (shuffle_) {
    const auto epoch = static_cast<uint64_t>(index / per_epoch_);
    const Permutation order(static_cast<uint64_t>(per_epoch_), seed_,
                            stream_id({kOrderStream, epoch}));
    window = static_cast<int64_t>(order(static_cast<uint64_t>(window)));
    Random random(seed_, stream_id({kPhaseStream, epoch}));
    phase = static_cast<int64_t>(random.below(static_cast<uint64_t>(phases_)));
  }
  return begin_ + phase + window * length_;
}

void SequenceLoader::fill(int64_t index, std::span<int32_t> out) const {
  EVO_CHECK(std::cmp_equal(out.size(), length_ + 1));
  tokens_.copy(start_of(index), out);
}

void SequenceLoader::fill_learnt(int64_t index, std::span<uint8_t> out) const {
  EVO_CHECK(std::cmp_equal(out.size(), length_ + 1));
  tokens_.copy_learnt(start_of(index), out);
}

}  // namespace evo
