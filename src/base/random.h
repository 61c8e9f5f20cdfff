// Counter-based random numbers: every draw is a pure function of (seed, stream, index), so a run
// can be resumed, split or repeated anywhere without saving generator state.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace evo {

/// Philox-4x32 with 10 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// A sequence of draws for one purpose. `stream` keeps purposes apart (see Stream below and the
/// callers' own numbering); two Randoms of equal seed and stream give equal numbers.
class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  uint32_t next();                 ///< uniform 32 bits
  uint64_t next64();               ///< uniform 64 bits
  double uniform();                ///< uniform in [0, 1), 53 bits
  float normal();                  ///< standard normal (Box-Muller)
  uint64_t below(uint64_t bound);  ///< uniform in [0, bound), unbiased; bound > 0

  void fill_normal(std::span<float> out);

  /// Index of a draw from unnormalised non-negative weights; their sum must be positive.
  int categorical(std::span<const float> weights);

 private:
  uint64_t seed_;
  uint64_t stream_;
  uint64_t block_ = 0;
  std::array<uint32_t, 4> words_{};
  int used_ = 4;
  float spare_normal_ = 0;
  bool has_spare_ = false;
};

/// Mixes numbers that identify a purpose (step, sequence, use ...) into one stream id.
uint64_t stream_id(std::initializer_list<uint64_t> parts);

}  // namespace evo
