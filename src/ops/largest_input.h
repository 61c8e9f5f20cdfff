// How products with weights in groups round what they multiply them with.
#pragma once

#include <cstdint>

namespace evo::ops {

/// In products with weights in groups x is whole numbers up to this one, with a scale for every 32
/// of a row, so that bytes can take them in two parts: 127 * 128 for weights of 8 bits, 127 * 16 +
/// 15 for those of 4. Numbers of 8 bits would lose more than weights of 8 bits do, since a group of
/// x often has one that dwarfs the others (docs/log/2026.md).
[[nodiscard]] constexpr float largest_input(int64_t bits) {
  return bits == 8 ? 16256 : 2047;
}

}  // namespace evo::ops
