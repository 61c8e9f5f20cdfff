#include "ops/cpu/matmul/tile_product.h"

#include <algorithm>

#include "base/error.h"
#include "base/threads/parallel.h"
#include "tensor/tensor.h"

namespace evo::ops {
namespace {

/// Of depth that sums go along at once: 256 rows of the left side are then half a megabyte, and
/// stay in an L2 cache while all of the right side passes by.
constexpr int64_t kPartDepth = 1024;
constexpr int64_t kMostRows = 256, kFewestRows = 128, kFewestCols = 128;

/// Multiply-adds for which it is not worth waking another thread.
constexpr int64_t kSerialTiles = 1 << 22;

int64_t whole_groups(int64_t n) {
  return (n + kTileGroup - 1) / kTileGroup * kTileGroup;
}

/// The result in pieces, each for one thread: several for each thread, as one may be held up. Rows
/// are divided first, since what a piece reads of the left side is packed anew for it.
struct Pieces {
  Pieces(const TileOutput& out, int64_t depth) : rows(out.rows), cols(out.cols) {
    const int64_t wanted = 4 * int64_t{threads()};
    if (out.rows * out.cols < kSerialTiles / depth + 1) return;
    rows = std::clamp(whole_groups(out.rows / wanted), kFewestRows, kMostRows);
    row_count = (out.rows + rows - 1) / rows;
    const int64_t divisions =
        std::clamp<int64_t>(wanted / row_count, 1, std::max<int64_t>(1, out.cols / kFewestCols));
    cols = whole_groups((out.cols + divisions - 1) / divisions);
    col_count = (out.cols + cols - 1) / cols;
  }

  int64_t rows, cols;  ///< of a piece
  int64_t row_count = 1, col_count = 1;
};

/// One piece, part by part.
void multiply_piece(const TileSource& left, const PackedSide& right, int64_t first_col,
                    const TileOutput& out) {
  const int64_t longest = std::min(kPartDepth, left.depth);
  const std::shared_ptr<void> panel =
      tensor::pooled_bytes(packed_numbers(left.outer, longest) * sizeof(uint16_t));
  auto* const tiles = static_cast<uint16_t*>(panel.get());
  for (int64_t k = 0; k < left.depth; k += kPartDepth) {
    const int64_t depth = std::min(kPartDepth, left.depth - k);
    pack_tiles(left.depth_part(k, depth), TileSide::kLeft, tiles);
    TileOutput part = out;
    part.accumulate |= k > 0;
    multiply_tiles(tiles, right.at(first_col, k), (depth + kTileDepth - 1) / kTileDepth, part);
  }
}

}  // namespace

PackedSide::PackedSide(const TileSource& from)
    : outer_(from.outer),
      depth_(from.depth),
      tiles_(tensor::pooled_bytes(packed_numbers(outer_, depth_) * sizeof(uint16_t))) {
  const int64_t groups = (outer_ + kTileGroup - 1) / kTileGroup;
  const int64_t parts = (depth_ + kPartDepth - 1) / kPartDepth;
  parallel_items(groups * parts, outer_ * depth_, [&](int64_t i) {
    const int64_t first = i % groups * kTileGroup, k = i / groups * kPartDepth;
    const TileSource group = from.outer_part(first, std::min(kTileGroup, outer_ - first))
                                 .depth_part(k, std::min(kPartDepth, depth_ - k));
    pack_tiles(group, TileSide::kRight, const_cast<uint16_t*>(at(first, k)));
  });
}

const uint16_t* PackedSide::at(int64_t outer, int64_t depth) const {
  const int64_t part = std::min(kPartDepth, depth_ - depth);
  return static_cast<const uint16_t*>(tiles_.get()) + whole_groups(outer_) * depth +
         packed_numbers(outer, part);
}

void multiply_packed(const TileSource& left, const PackedSide& right, const TileOutput& out) {
  EVO_CHECK(left.depth == right.depth() && left.outer == out.rows && right.outer() == out.cols);
  const Pieces pieces(out, left.depth);
  parallel_items(pieces.row_count * pieces.col_count, [&](int64_t i) {
    const int64_t row = i / pieces.col_count * pieces.rows;
    const int64_t col = i % pieces.col_count * pieces.cols;
    const int64_t rows = std::min(pieces.rows, out.rows - row);
    multiply_piece(left.outer_part(row, rows), right, col,
                   {out.data + row * out.stride + col, rows, std::min(pieces.cols, out.cols - col),
                    out.stride, out.accumulate});
  });
}

}  // namespace evo::ops
