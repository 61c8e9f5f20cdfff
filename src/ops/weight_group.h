// Weights of 8 and 4 bits in groups, as GGUF's Q8_0 and Q4_1 have them: the numbers, however a
// backend lays them out.
#pragma once

#include "base/group_format.h"

namespace evo::ops {

/// In products with such weights x is whole numbers up to this one, with a scale for every 32 of a
/// row, so that bytes can take them in two parts: 127 * 128 for weights of 8 bits, 127 * 16 + 15
/// for those of 4. Numbers of 8 bits would lose more than weights of 8 bits do, since a group of x
/// often has one that dwarfs the others (docs/log/2026.md).
[[nodiscard]] constexpr float largest_input(int64_t bits) {
  return bits == 8 ? 16256 : 2047;
}

/// The format of weight_group(): 4 bits have a minimum.
[[nodiscard]] constexpr GroupFormat group_format(int64_t bits) {
  return {.bits = bits, .minimum = bits == 4};
}

/// Of 8 bits: from -127 to 127, with a scale with which the largest just fits, and without a
/// minimum. Of 4: from 0 to 15, with the scale and the minimum of the least squared error among
/// some that nearly fit. Weights below 2^-18 may become zeros, since f16 has no such scales. Throws
/// Error if a weight is too large for f16: 8.3e6 for 8 bits, 6.5e4 for 4.
[[nodiscard]] WeightGroup weight_group(const float* weights, int64_t bits);

}  // namespace evo::ops
