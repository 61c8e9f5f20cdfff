#include "base/random.h"

#include <cmath>
#include <numbers>

#include "base/error.h"

namespace evo {
namespace {

void mul_hi_lo(uint32_t a, uint32_t b, uint32_t& hi, uint32_t& lo) {
  const uint64_t product = static_cast<uint64_t>(a) * b;
  hi = static_cast<uint32_t>(product >> 32);
  lo = static_cast<uint32_t>(product);
}

/// Uniform in (0, 1]: safe under a logarithm.
double open_uniform(uint32_t bits) {
  return (static_cast<double>(bits) + 1.0) * 0x1p-32;
}

}  // namespace

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    uint32_t hi0, lo0, hi1, lo1;
    mul_hi_lo(0xD2511F53u, c[0], hi0, lo0);
    mul_hi_lo(0xCD9E8D57u, c[2], hi1, lo1);
    c = {hi1 ^ c[1] ^ k[0], lo1, hi0 ^ c[3] ^ k[1], lo0};
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  return c;
}

uint32_t Random::next() {
  if (used_ == 4) {
    words_ = philox({static_cast<uint32_t>(block_), static_cast<uint32_t>(block_ >> 32),
                     static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)},
                    {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
    ++block_;
    used_ = 0;
  }
  return words_[used_++];
}

uint64_t Random::next64() {
  const uint64_t high = next();
  return (high << 32) | next();
}

double Random::uniform() {
  return static_cast<double>(next64() >> 11) * 0x1p-53;
}

float Random::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_normal_;
  }
  const double radius = std::sqrt(-2.0 * std::log(open_uniform(next())));
  const double angle = 2.0 * std::numbers::pi * open_uniform(next());
  spare_normal_ = static_cast<float>(radius * std::sin(angle));
  has_spare_ = true;
  return static_cast<float>(radius * std::cos(angle));
}

uint64_t Random::below(uint64_t bound) {
  EVO_CHECK(bound > 0);
  // Rejects the short last interval, so that every residue is equally likely.
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  uint64_t draw;
  do draw = next64();
  while (draw >= limit);
  return draw % bound;
}

void Random::fill_normal(std::span<float> out) {
  for (float& value : out) value = normal();
}

int Random::categorical(std::span<const float> weights) {
  double total = 0;
  for (float weight : weights) total += weight;
  EVO_CHECK(total > 0);
  double left = uniform() * total;
  int last_positive = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    last_positive = static_cast<int>(i);
    left -= weights[i];
    if (left < 0) break;
  }
  return last_positive;
}

uint64_t stream_id(std::initializer_list<uint64_t> parts) {
  uint64_t state = 0x243F6A8885A308D3u;
  for (uint64_t part : parts) {  // the SplitMix64 finaliser over a running sum
    state += part + 0x9E3779B97F4A7C15u;
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9u;
    state = (state ^ (state >> 27)) * 0x94D049BB133111EBu;
    state ^= state >> 31;
  }
  return state;
}

}  // namespace evo
