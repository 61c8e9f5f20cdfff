#include "ops/cpu/matmul/tile_product.h"

#include <algorithm>

#include "base/error.h"
#include "base/threads/parallel.h"
#include "tensor/tensor.h"

namespace evo::ops {
namespace {

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

/// fn(first row, first column, that piece of out) on all threads.
template <class Fn>
void for_each_piece(const TileOutput& out, int64_t depth, const Fn& fn) {
  const Pieces pieces(out, depth);
  parallel_items(pieces.row_count * pieces.col_count, [&](int64_t i) {
    const int64_t row = i / pieces.col_count * pieces.rows;
    const int64_t col = i % pieces.col_count * pieces.cols;
    fn(row, col,
       TileOutput{out.data + row * out.stride + col, std::min(pieces.rows, out.rows - row),
                  std::min(pieces.cols, out.cols - col), out.stride, out.accumulate});
  });
}

/// left_part(begin, depth) is the groups of the left side of a part.
template <class Fn>
void multiply_parts(const PackedSide& right, int64_t first_col, const TileOutput& out,
                    const Fn& left_part) {
  for (int64_t k = 0; k < right.depth(); k += kPartDepth) {
    const int64_t depth = std::min(kPartDepth, right.depth() - k);
    TileOutput part = out;
    part.accumulate |= k > 0;
    left_part(k, depth, [&](const TileGroups& left) {
      multiply_tiles(left, right.at(first_col, k), tile_steps(depth), part);
    });
  }
}

void check_sides(int64_t rows, int64_t depth, const PackedSide& right, const TileOutput& out) {
  EVO_CHECK(depth == right.depth() && rows == out.rows && right.outer() == out.cols);
}

}  // namespace

PackedSide::PackedSide(int64_t outer, int64_t depth)
    : outer_(outer),
      depth_(depth),
      tiles_(tensor::pooled_bytes(packed_numbers(outer, depth) * sizeof(uint16_t))) {}

PackedSide::PackedSide(const TileSource& from, TileSide side) : PackedSide(from.outer, from.depth) {
  const int64_t groups = whole_groups(outer_) / kTileGroup;
  const int64_t parts = (depth_ + kPartDepth - 1) / kPartDepth;
  parallel_items(groups * parts, outer_ * depth_, [&](int64_t i) {
    const int64_t first = i % groups * kTileGroup, k = i / groups * kPartDepth;
    pack(from.outer_part(first, std::min(kTileGroup, outer_ - first))
             .depth_part(k, std::min(kPartDepth, depth_ - k)),
         side, first, k);
  });
}

void PackedSide::pack(const TileSource& from, TileSide side, int64_t outer, int64_t depth) {
  for (int64_t i = 0; i < from.outer; i += kTileGroup) {
    pack_tiles(from.outer_part(i, std::min(kTileGroup, from.outer - i)), side,
               const_cast<uint16_t*>(at(outer + i, depth).tiles));
  }
}

TileGroups PackedSide::at(int64_t outer, int64_t depth) const {
  const int64_t begin = depth / kPartDepth * kPartDepth;
  const int64_t group = tile_steps(std::min(kPartDepth, depth_ - begin)) * kTilePair;
  const auto* const part =
      static_cast<const uint16_t*>(tiles_.get()) + whole_groups(outer_) * begin;
  return {part + outer / kTileGroup * group + (depth - begin) / kTileDepth * kTilePair, group};
}

void multiply_packed(const TileSource& left, const PackedSide& right, const TileOutput& out) {
  check_sides(left.outer, left.depth, right, out);
  for_each_piece(out, left.depth, [&](int64_t row, int64_t col, const TileOutput& piece) {
    const TileSource rows = left.outer_part(row, piece.rows);
    multiply_parts(right, col, piece, [&](int64_t k, int64_t depth, const auto& multiply) {
      const PackedSide packed(rows.depth_part(k, depth), TileSide::kLeft);
      multiply(packed.at(0, 0));
    });
  });
}

void multiply_packed(const PackedSide& left, const PackedSide& right, const TileOutput& out) {
  check_sides(left.outer(), left.depth(), right, out);
  for_each_piece(out, left.depth(), [&](int64_t row, int64_t col, const TileOutput& piece) {
    multiply_parts(right, col, piece, [&](int64_t k, int64_t /*depth*/, const auto& multiply) {
      multiply(left.at(row, k));
    });
  });
}

void multiply_columns(const PackedSide& left, const PackedSide& right, int64_t first_col,
                      const TileOutput& out) {
  EVO_CHECK(left.depth() == right.depth() && left.outer() == out.rows);
  multiply_parts(right, first_col, out, [&](int64_t k, int64_t /*depth*/, const auto& multiply) {
    multiply(left.at(0, k));
  });
}

}  // namespace evo::ops
