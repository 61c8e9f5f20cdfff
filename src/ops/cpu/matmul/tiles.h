// Products of matrices of floats, rounded to bf16, by AMX: the kernels. What they read is cut into
// tiles of 16 x 32 numbers first, which costs about what a dense copy in bf16 would.
#pragma once

#include <cstdint>

namespace evo::ops {

/// One side of a product in memory. `outer` numbers the rows of the result if it is the left side,
/// and the columns if it is the right one; sums go along `depth`. Element (i, k) is
/// data[i * outer_stride + k * depth_stride], and one of the strides is 1.
struct TileSource {
  const float* data;
  int64_t outer, depth;
  int64_t outer_stride, depth_stride;

  /// Elements [begin, begin + count) along `outer`, or along `depth`.
  [[nodiscard]] TileSource outer_part(int64_t begin, int64_t count) const {
    return {data + begin * outer_stride, count, depth, outer_stride, depth_stride};
  }
  [[nodiscard]] TileSource depth_part(int64_t begin, int64_t count) const {
    return {data + begin * depth_stride, outer, count, outer_stride, depth_stride};
  }
};

enum class TileSide { kLeft, kRight };

inline constexpr int64_t kTileGroup = 32;  ///< along `outer`: two tiles side by side
inline constexpr int64_t kTileDepth = 32;
/// Numbers of two tiles, which meet 32 of `depth`.
inline constexpr int64_t kTilePair = kTileGroup * kTileDepth;

/// Numbers that are packed: groups and depth are filled up with zeros.
constexpr int64_t packed_numbers(int64_t outer, int64_t depth) {
  const auto whole = [](int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; };
  return whole(outer, kTileGroup) * whole(depth, kTileDepth);
}

/// `tiles` [groups, steps, 2 tiles], bf16, 64-byte aligned: packed_numbers() of them.
void pack_tiles(const TileSource& from, TileSide side, uint16_t* tiles);

/// Where a product of packed sides goes: rows x cols floats, rows `stride` apart.
struct TileOutput {
  float* data;
  int64_t rows, cols, stride;
  bool accumulate;  ///< adds to what is there
};

/// Packed groups, or the same steps of several groups.
struct TileGroups {
  const uint16_t* tiles;
  int64_t stride;  ///< numbers from a group to the next
};

/// out = left right^T, for sides of `steps` times 32 numbers along depth. Each number of out is
/// one chain of sums in rising order of depth, whatever rows and columns there are besides.
void multiply_tiles(const TileGroups& left, const TileGroups& right, int64_t steps,
                    const TileOutput& out);

}  // namespace evo::ops
