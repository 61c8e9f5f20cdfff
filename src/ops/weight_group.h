// Weights of 8 and 4 bits in groups: the numbers, however a backend lays them out. As GGUF's Q8_0
// and Q4_1 have them.
#pragma once

#include <array>
#include <cstdint>

namespace evo::ops {

/// Inputs that share a scale, in weights and in what they are multiplied with.
inline constexpr int64_t kGroupInputs = 32;

/// In products with such weights x has 15 bits, with a scale for every 32 of a row: numbers up to
/// this one, so that bytes can take them in two parts, 127 * 128. With 8 bits it would lose more
/// than weights of 8 bits do, since a group of x often has one number that dwarfs the others
/// (docs/log/2026.md).
inline constexpr float kLargestInput = 16256;

/// 32 weights of a row: values times a scale, and a minimum besides; both in f16.
struct WeightGroup {
  std::array<int8_t, kGroupInputs> values{};
  uint16_t scale = 0, minimum = 0;
};

/// Of 8 bits: from -127 to 127, with a scale with which the largest just fits, and without a
/// minimum. Of 4: from 0 to 15, with the scale and the minimum of the least squared error among
/// some that nearly fit. Weights below 2^-18 may become zeros, since f16 has no such scales. Throws
/// Error if a weight is too large for f16: 8.3e6 for 8 bits, 6.5e4 for 4.
[[nodiscard]] WeightGroup weight_group(const float* weights, int64_t bits);

}  // namespace evo::ops
