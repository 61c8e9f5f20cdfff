#include "eval/data/python_random.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace evo::eval {
namespace {

constexpr size_t kMiddle = 397;  // distance of the words that are combined

/// MT19937's initial state of one number.
template <size_t N>
void fill_linear(std::array<uint32_t, N>& state, uint32_t seed) {
  state[0] = seed;
  for (uint32_t i = 1; i < N; ++i) {
    state[i] = 1812433253u * (state[i - 1] ^ (state[i - 1] >> 30)) + i;
  }
}

uint32_t twisted(uint32_t high, uint32_t low) {
  const uint32_t y = (high & 0x80000000u) | (low & 0x7FFFFFFFu);
  return (y >> 1) ^ ((y & 1u) != 0 ? 0x9908B0DFu : 0u);
}

/// random.sample keeps a list of what is left of populations up to this size, and a set of what was
/// drawn of larger ones; the draws differ.
size_t largest_pool(size_t count) {
  size_t size = 21;
  if (count > 5) {
    size_t power = 1;
    while (power < 3 * count) power *= 4;
    size += power;
  }
  return size;
}

}  // namespace

PythonRandom::PythonRandom(uint32_t seed) {
  seed_from(seed);
}

/// init_by_array of the reference implementation for a key of one word, which is what Python makes
/// of a seed below 2^32.
void PythonRandom::seed_from(uint32_t key) {
  fill_linear(state_, 19650218u);
  size_t i = 1;
  const auto mix = [&](uint32_t factor) {
    return state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * factor);
  };
  const auto advance = [&] {
    if (++i < kWords) return;
    state_[0] = state_[kWords - 1];
    i = 1;
  };
  for (size_t step = 0; step < kWords; ++step) {
    state_[i] = mix(1664525u) + key;
    advance();
  }
  for (size_t step = 1; step < kWords; ++step) {
    state_[i] = mix(1566083941u) - static_cast<uint32_t>(i);
    advance();
  }
  state_[0] = 0x80000000u;
}

void PythonRandom::refill() {
  for (size_t i = 0; i < kWords; ++i) {
    state_[i] = state_[(i + kMiddle) % kWords] ^ twisted(state_[i], state_[(i + 1) % kWords]);
  }
  used_ = 0;
}

uint32_t PythonRandom::next() {
  if (used_ == kWords) refill();
  uint32_t y = state_[used_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9D2C5680u;
  y ^= (y << 15) & 0xEFC60000u;
  return y ^ (y >> 18);
}

uint32_t PythonRandom::below(uint32_t bound) {
  EVO_CHECK(bound > 0);
  const int unused_bits = std::countl_zero(bound);
  uint32_t drawn = next() >> unused_bits;
  while (drawn >= bound) drawn = next() >> unused_bits;
  return drawn;
}

std::vector<size_t> PythonRandom::sample(size_t population, size_t count) {
  EVO_CHECK(count <= population && population <= std::numeric_limits<uint32_t>::max());
  std::vector<size_t> drawn;
  if (population > largest_pool(count)) {
    while (drawn.size() < count) {
      const size_t index = below(static_cast<uint32_t>(population));
      if (std::find(drawn.begin(), drawn.end(), index) == drawn.end()) drawn.push_back(index);
    }
    return drawn;
  }
  std::vector<size_t> pool(population);
  std::iota(pool.begin(), pool.end(), size_t{0});
  while (drawn.size() < count) {
    size_t& chosen = pool[below(static_cast<uint32_t>(pool.size()))];
    drawn.push_back(chosen);
    chosen = pool.back();
    pool.pop_back();
  }
  return drawn;
}

}  // namespace evo::eval
