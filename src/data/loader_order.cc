#include "data/loader_order.h"

#include <algorithm>
#include <bit>

#include "base/random.h"

namespace evo::data {
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

SequenceOrder::SequenceOrder(const TokenFile& tokens, const LoaderOptions& options,
                             const std::string& name)
    : options_(options) {
  const int64_t available = options.end - options.begin, length = options.length;
  if (available <= length) {
    fail(
        "{}: a sequence of length {} needs {} tokens, but this part of the text has {}; use a "
        "longer text or a shorter sequence",
        name, length, length + 1, available);
  }
  if (options.separator >= 0) {
    find_documents(tokens, name);
    return;
  }
  per_epoch_ = sequences_in(available, length, options.shuffle);
  phases_ = options.shuffle ? available - per_epoch_ * length : 1;
}

/// Where windows of whole documents start.
void SequenceOrder::find_documents(const TokenFile& tokens, const std::string& name) {
  const int64_t last = options_.end - options_.length - 1;  // where a window can start
  const auto next_separator = [&](int64_t place) {
    while (place < options_.end && tokens.at(place) != options_.separator) ++place;
    return place;
  };
  int64_t start = next_separator(options_.begin);
  while (start <= last) {
    starts_.push_back(start);
    // The next window begins with the document that this one cuts, unless that fills all of it.
    int64_t next = start + options_.length;
    while (next > start && tokens.at(next) != options_.separator) --next;
    start = next > start ? next : start + options_.length;
  }
  if (starts_.empty()) {
    fail("{}: no document begins early enough for a sequence of length {}; use a longer text", name,
         options_.length);
  }
  per_epoch_ = std::ssize(starts_);
}

int64_t SequenceOrder::start_of(int64_t index) const {
  EVO_CHECK(index >= 0);
  int64_t window = index % per_epoch_, phase = 0;
  if (options_.shuffle) {
    const auto epoch = static_cast<uint64_t>(index / per_epoch_);
    const Permutation order(static_cast<uint64_t>(per_epoch_), options_.seed,
                            stream_id({kOrderStream, epoch}));
    window = static_cast<int64_t>(order(static_cast<uint64_t>(window)));
    Random random(options_.seed, stream_id({kPhaseStream, epoch}));
    phase = static_cast<int64_t>(random.below(static_cast<uint64_t>(phases_)));
  }
  if (!starts_.empty()) return starts_[window];
  return options_.begin + phase + window * options_.length;
}

}  // namespace evo::data
