// Products by AMX's tiles of matrices of any size, on all threads.
#pragma once

#include <memory>

#include "ops/cpu/matmul/tiles.h"

namespace evo::ops {

/// Sums go along so much of depth at once: 256 rows of a left side are then half a megabyte, and
/// stay in an L2 cache while all of the right side passes by.
inline constexpr int64_t kPartDepth = 1024;

/// A side of products, packed. Along depth it is cut into parts, which lie one behind the other.
class PackedSide {
 public:
  /// To be filled by pack().
  PackedSide(int64_t outer, int64_t depth);
  PackedSide(const TileSource& from, TileSide side);

  [[nodiscard]] int64_t outer() const { return outer_; }
  [[nodiscard]] int64_t depth() const { return depth_; }

  /// Packs what lies from (outer, depth) on, multiples of 32, within a part. Places of their own
  /// may be packed by several threads at once.
  void pack(const TileSource& from, TileSide side, int64_t outer, int64_t depth);

  /// The groups from (outer, depth) on, multiples of 32, as far as the part goes.
  [[nodiscard]] TileGroups at(int64_t outer, int64_t depth) const;

 private:
  int64_t outer_, depth_;
  std::shared_ptr<void> tiles_;
};

// A number of `out` is a sum in rising order of depth, cut into parts of a fixed length, so that
// its bits depend on nothing but its row and its column. Depth is not 0.

/// out = left right^T, or out += that, on all threads.
void multiply_packed(const TileSource& left, const PackedSide& right, const TileOutput& out);
void multiply_packed(const PackedSide& left, const PackedSide& right, const TileOutput& out);

/// The same on this thread: out.cols columns from `first_col` on.
void multiply_columns(const PackedSide& left, const PackedSide& right, int64_t first_col,
                      const TileOutput& out);

constexpr int64_t tile_steps(int64_t depth) {
  return (depth + kTileDepth - 1) / kTileDepth;
}

}  // namespace evo::ops
