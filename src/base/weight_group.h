// Weights rounded to groups of few bits.
#pragma once

#include <array>

#include "base/group_format.h"

namespace evo {

/// The format of weight_group(), GGUF's Q8_0 and Q4_1: 4 bits have a minimum.
[[nodiscard]] constexpr GroupFormat group_format(int64_t bits) {
  return {.bits = bits, .minimum = bits == 4};
}

/// Of 8 bits: from -127 to 127, with a scale with which the largest just fits, and without a
/// minimum. Of 4: from 0 to 15, with the scale and the minimum of the least squared error among
/// some that nearly fit. Weights below 2^-18 may become zeros, since f16 has no such scales. Throws
/// Error if a weight is too large for f16: 8.3e6 for 8 bits, 6.5e4 for 4.
[[nodiscard]] WeightGroup weight_group(const float* weights, int64_t bits);

/// Eight groups, as GGUF's Q4_K has them: 4 bits, with scales and minima that are products of an
/// f16 number and a whole one of 6 bits. Of the whole numbers about the nearest those with the
/// least squared error. Errors likewise.
inline constexpr GroupFormat kSuperGroupFormat = {.bits = 4, .minimum = true, .factors = true};
[[nodiscard]] std::array<WeightGroup, kSuperGroups> super_group(const float* weights);

}  // namespace evo
