// The per-CPU parts of bf16_product.cc.
#pragma once

#include <cstdint>

namespace evo::ops {

/// Inputs that a kernel takes at once, and those of a tile, to which `in` is padded.
inline constexpr int64_t kBF16Step = 2;
inline constexpr int64_t kBF16TileInputs = 32;
/// Rows of x are padded with rows of zeros to whole tiles if there are more than one tile's.
inline constexpr int64_t kBF16TileRows = 16;

/// y [rows, out] = x W^T.
struct BF16Task {
  const void* x;  ///< [rows, stride], f32 for `widened`, else bf16; padded with zeros
  int64_t rows, stride, steps, out;
  const uint16_t* w;  ///< [blocks, steps, 32, 2]
  float* y;
};

/// Each computes blocks [begin, end) of outputs, 32 in a block.
void bf16_multiply_widened(const BF16Task& task, int64_t begin, int64_t end);
void bf16_multiply_dots(const BF16Task& task, int64_t begin, int64_t end);
void bf16_multiply_tiles(const BF16Task& task, int64_t begin, int64_t end);

}  // namespace evo::ops
