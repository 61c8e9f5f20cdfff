// Products by AMX's tiles of matrices of any size, on all threads.
#pragma once

#include <memory>

#include "ops/cpu/matmul/tiles.h"

namespace evo::ops {

/// The right side of products, packed. Along depth it is cut into parts, which lie one behind the
/// other.
class PackedSide {
 public:
  explicit PackedSide(const TileSource& from);

  [[nodiscard]] int64_t outer() const { return outer_; }
  [[nodiscard]] int64_t depth() const { return depth_; }
  /// Outer elements from `outer` on, a multiple of kTileGroup, of the part that begins at `depth`.
  [[nodiscard]] const uint16_t* at(int64_t outer, int64_t depth) const;

 private:
  int64_t outer_, depth_;
  std::shared_ptr<void> tiles_;
};

/// out = left right^T, or out += that. A number of out is a sum in rising order of depth, cut into
/// parts of a fixed length, so that its bits depend on nothing but its row and its column. Depth
/// is not 0.
void multiply_packed(const TileSource& left, const PackedSide& right, const TileOutput& out);

}  // namespace evo::ops
