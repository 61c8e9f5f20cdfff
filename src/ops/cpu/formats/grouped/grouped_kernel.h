// The per-CPU parts of grouped_product.cc: quantising x, and multiplying.
#pragma once

#include <cstdint>

#include "ops/cpu/formats/grouped/grouped_layout.h"
#include "ops/largest_input.h"

namespace evo::ops {

/// A sum of all numbers of a group, of the first half and of the second.
enum GroupSum { kAll, kFirst, kSecond };
[[nodiscard]] constexpr GroupSum group_sum(int64_t parts, int64_t part) {
  return parts == 1 ? kAll : part == 0 ? kFirst : kSecond;
}

/// A group of a row of x: whole numbers up to largest_input() times `scale`.
struct InputGroup {
  /// In the form that this CPU's kernel takes: as int16_t [32], of each four the first and the
  /// third, then the second and the fourth, which are the pairs that meet weights; or, where bytes
  /// are multiplied (grouped_inputs_in_parts()), as int8_t [2, 32], a number being first * 128 +
  /// second for weights of 8 bits, first * 16 + second for those of 4.
  int8_t values[2 * kGroupInputs];
  float scale;
  int32_t sums[3];       ///< of the numbers; see GroupSum
  float scaled_sums[3];  ///< times the scale
};
[[nodiscard]] bool grouped_inputs_in_parts();

/// The scales of the 32 outputs of a group, of each part, as products take them: factors are
/// multiplied, and the offset of 4 bits is a part of the minima.
struct alignas(64) GroupScales {
  float scales[2][GroupLayout::kOutputs];
  float minima[2][GroupLayout::kOutputs];  ///< none if the format has none (has_minima())
};
[[nodiscard]] inline bool has_minima(const GroupFormat& format) {
  return format.minimum || format.bits == 4;
}
void grouped_scales(const GroupLayout& layout, const uint8_t* block, const uint8_t* group,
                    int64_t index, GroupScales& to);

/// y [rows, out] = x W^T, with rows of x as InputGroup or as InputTile.
template <class Input>
struct GroupedTask {
  const Input* x;  ///< [rows, groups], or of tiles [ceil(rows / 16), groups]
  int64_t rows, groups, out;
  GroupLayout layout;
  const uint8_t* w;  ///< [blocks, GroupLayout::block_bytes()]
  float* y;
  int64_t y_stride;  ///< from row to row
};

/// Makes the groups of x [count] for weights of `bits`, the last one filled up with zeros. The
/// scale of a group with a NaN or an infinity is NaN; of one below 2^-100 it is 0, and so are its
/// values.
void grouped_inputs(const float* x, int64_t count, int64_t bits, InputGroup* to);

/// Computes blocks [begin, end) of outputs, 32 in a block. Sums within a group, or a part of one,
/// are exact; they are added in f32, in their order. So all kernels give the same bits.
void grouped_multiply(const GroupedTask<InputGroup>& task, int64_t begin, int64_t end);

/// A group of 16 rows of x for AMX's tiles, which take numbers in parts.
inline constexpr int64_t kGroupedTileRows = 16;
struct alignas(64) InputTile {
  int8_t parts[kGroupedTileRows][2][kGroupInputs];
  float scales[kGroupedTileRows];
  float scaled_sums[3][kGroupedTileRows];
};

/// Puts a group in parts into row `row` of a tile.
void put_into_tile(const InputGroup& group, int64_t row, InputTile& tile);

/// The same product by tiles, whose last rows are zeros.
void grouped_multiply(const GroupedTask<InputTile>& task, int64_t begin, int64_t end);

}  // namespace evo::ops
