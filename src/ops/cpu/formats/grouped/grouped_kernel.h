// The per-CPU parts of grouped_product.cc: quantising x, and multiplying.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/float_formats.h"
#include "ops/weight_group.h"

namespace evo::ops {

/// A group of a row of x: whole numbers up to kLargestInput times `scale`.
struct InputGroup {
  /// In the form that this CPU's kernel takes: as int16_t [32], of each four the first and the
  /// third, then the second and the fourth, which are the pairs that meet weights; or, where bytes
  /// are multiplied (grouped_inputs_in_parts()), as int8_t [2, 32], number = 128 first + second.
  int8_t values[2 * kGroupInputs];
  float scale;
  int32_t sum;  ///< of the numbers
};
[[nodiscard]] bool grouped_inputs_in_parts();

/// How a group of 32 outputs lies: weights as lanes of four bytes [lines, 32, 4], then their scales
/// in f16 [32] and, of 4 bits, their minima [32]. Of 8 bits a lane has inputs 4 i .. 4 i + 3 of an
/// output; of 4 bits byte b has input 8 i + b in its lower and 8 i + 4 + b in its upper half. A
/// weight is (stored - offset) * scale + minimum.
struct GroupLayout {
  int64_t bits, offset;

  static constexpr int64_t kOutputs = 32, kLaneBytes = 4, kLineBytes = kOutputs * kLaneBytes,
                           kHalvesBytes = kOutputs * int64_t{sizeof(uint16_t)};
  [[nodiscard]] constexpr bool has_minimum() const { return bits == 4; }
  [[nodiscard]] constexpr int64_t weight_bytes() const {
    return kOutputs * kGroupInputs * bits / 8;
  }
  [[nodiscard]] constexpr int64_t bytes() const {
    return weight_bytes() + (has_minimum() ? 2 : 1) * kHalvesBytes;
  }
  [[nodiscard]] constexpr int64_t byte_of(int64_t output, int64_t input) const {
    const int64_t lane = 32 / bits;  // inputs in one
    return input / lane * kLineBytes + output * kLaneBytes + input % kLaneBytes;
  }
  [[nodiscard]] constexpr int shift_of(int64_t input) const {
    return bits == 4 && input % 8 >= kLaneBytes ? 4 : 0;
  }
  [[nodiscard]] int stored(const uint8_t* group, int64_t output, int64_t input) const {
    return group[byte_of(output, input)] >> shift_of(input) & ((1 << bits) - 1);
  }
  [[nodiscard]] float scale(const uint8_t* group, int64_t output) const {
    return half(group + weight_bytes(), output);
  }
  [[nodiscard]] float minimum(const uint8_t* group, int64_t output) const {
    return has_minimum() ? half(group + weight_bytes() + kHalvesBytes, output) : 0;
  }

 private:
  [[nodiscard]] static float half(const uint8_t* halves, int64_t index) {
    uint16_t bits = 0;
    std::memcpy(&bits, halves + index * int64_t{sizeof(bits)}, sizeof(bits));
    return from_f16(bits);
  }
};
[[nodiscard]] constexpr GroupLayout group_layout(int64_t bits) {
  return bits == 8 ? GroupLayout{8, 128} : GroupLayout{4, 0};
}

/// y [rows, out] = x W^T.
struct GroupedTask {
  const InputGroup* x;  ///< [rows, groups]
  int64_t rows, groups, out;
  const uint8_t* w;  ///< [blocks, groups, GroupLayout::bytes()]; of blocks of 32 outputs
  float* y;
};

/// Makes the groups of x [count], the last one filled up with zeros. The scale of a group with a
/// NaN or an infinity is NaN; of one below 2^-100 it is 0, and so are its values.
void grouped_inputs(const float* x, int64_t count, InputGroup* to);

/// Computes blocks [begin, end) of outputs, 32 in a block. Sums within a group are exact; the
/// groups are added in f32, in their order. So all kernels give the same bits.
void grouped_multiply_8(const GroupedTask& task, int64_t begin, int64_t end);
void grouped_multiply_4(const GroupedTask& task, int64_t begin, int64_t end);

/// A group of 16 rows of x for AMX's tiles, which take numbers in parts.
inline constexpr int64_t kGroupedTileRows = 16;
struct alignas(64) InputTile {
  int8_t parts[2][kGroupedTileRows][kGroupInputs];
  float scales[kGroupedTileRows];
  int32_t sums[kGroupedTileRows];
};

/// Puts a group in parts into row `row` of a tile.
void put_into_tile(const InputGroup& group, int64_t row, InputTile& tile);

/// The same product by tiles, [ceil(rows / 16), groups], whose last rows are zeros.
struct TiledTask {
  const InputTile* x;
  int64_t rows, groups, out;
  const uint8_t* w;
  float* y;
};
void grouped_multiply_tiles_8(const TiledTask& task, int64_t begin, int64_t end);
void grouped_multiply_tiles_4(const TiledTask& task, int64_t begin, int64_t end);

}  // namespace evo::ops
