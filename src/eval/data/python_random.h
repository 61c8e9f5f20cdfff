// Python's generator of random numbers: lm-evaluation-harness draws shots and shuffles choices with
// it, so that the same prompts take the same draws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace evo::eval {

/// `random.Random(seed)` of CPython 3: MT19937 (Matsumoto and Nishimura 1998), integers by
/// rejection.
class PythonRandom {
 public:
  explicit PythonRandom(uint32_t seed);

  uint32_t next();                 ///< uniform 32 bits: getrandbits(32)
  uint32_t below(uint32_t bound);  ///< uniform in [0, bound): randrange(bound); bound > 0

  /// Indices of `random.sample(population, count)`: different ones, in the order of the draws.
  std::vector<size_t> sample(size_t population, size_t count);

  /// `random.shuffle(values)`.
  template <class T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i-- > 1;) {
      std::swap(values[i], values[below(static_cast<uint32_t>(i) + 1)]);
    }
  }

 private:
  static constexpr size_t kWords = 624;
  void seed_from(uint32_t key);
  void refill();

  std::array<uint32_t, kWords> state_;
  size_t used_ = kWords;  // words of state_ that were given out
};

}  // namespace evo::eval
