// The two building blocks of attention: products of small matrices and transpositions between rows
// of heads and lanes of queries. Re-included per target.
//
// A "panel" is a matrix [n, kTileWidth] in scratch memory that has one query per column, so that a
// query is a SIMD lane and no lane's arithmetic depends on its neighbours.
#if defined(EVO_OPS_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVO_OPS_ATTENTION_INL_H_
#undef EVO_OPS_ATTENTION_INL_H_
#else
#define EVO_OPS_ATTENTION_INL_H_
#endif

#include "ops/cpu/attention/attention_plan.h"
#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {

inline constexpr int kLanes = static_cast<int>(hn::MaxLanes(FloatTag()));
inline constexpr int kTileWidth = 2 * kLanes;
static_assert(kTileWidth <= ops::kMaxTileWidth);

/// Rows of the block of sums, two vectors each, that is kept in registers: 16 of the 32 that
/// AVX-512 has, 8 of the 16 of older targets. A power of two: the last rows go by blocks of half
/// the size.
inline constexpr int kBlockRows = HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3 ? 4 : 8;

/// Matrix element (i, k) is data[i * row + k * column].
struct StridedMatrix {
  const float* data;
  int64_t row, column;
};

/// c [rows, columns] (+)= a [rows, depth] b [depth, columns], the rows of b and c being contiguous.
struct Product {
  StridedMatrix a;
  const float* b;
  int64_t b_row;
  float* c;
  int64_t c_row;
  int rows;
  int depth_begin, depth_end;
  bool accumulate;
};

/// Which lanes of b's row k take part: all of them ...
struct AllLanes {
  struct Row {
    HWY_INLINE FloatVec add_product(FloatVec a, FloatVec b, FloatVec sum) const {
      return hn::MulAdd(a, b, sum);
    }
  };
  HWY_INLINE Row row(int /*k*/, int /*first_lane*/) const { return {}; }
};

/// ... or those that see key k. The sums of the others stay as they are, whatever b holds.
struct SeeingLanes {
  const KeyWindow& window;

  struct Row {
    hn::Mask<FloatTag> sees;
    HWY_INLINE FloatVec add_product(FloatVec a, FloatVec b, FloatVec sum) const {
      return hn::IfThenElse(sees, hn::MulAdd(a, b, sum), sum);
    }
  };
  HWY_INLINE Row row(int k, int first_lane) const {
    const FloatTag d;
    const hn::RebindToSigned<FloatTag> di;
    const auto key = hn::Set(di, k);
    const auto begin = hn::Load(di, window.seen_begin.data() + first_lane);
    const auto end = hn::Load(di, window.seen_end.data() + first_lane);
    return {hn::RebindMask(d, hn::AndNot(hn::Lt(key, begin), hn::Lt(key, end)))};
  }
};

/// Rows [0, kRows) and kVectors vectors of columns. Every sum is one chain of multiply-adds in
/// ascending k: cutting the depth into several calls does not change a bit.
template <int kRows, int kVectors, class Access, class Lanes>
HWY_INLINE void product_block(const Product& p, const Access& access, const Lanes& lanes) {
  const FloatTag d;
  FloatVec sum[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      sum[i][v] = p.accumulate ? access.load(d, p.c + i * p.c_row + v * kLanes) : hn::Zero(d);
    }
  }
  for (int k = p.depth_begin; k < p.depth_end; ++k) {
    const float* a = p.a.data + k * p.a.column;
    for (int v = 0; v < kVectors; ++v) {
      const FloatVec b = hn::LoadU(d, p.b + k * p.b_row + v * kLanes);
      const auto row = lanes.row(k, v * kLanes);
      for (int i = 0; i < kRows; ++i) {
        sum[i][v] = row.add_product(hn::Set(d, a[i * p.a.row]), b, sum[i][v]);
      }
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      access.store(sum[i][v], d, p.c + i * p.c_row + v * kLanes);
    }
  }
}

/// All rows of a product, kVectors vectors of columns.
template <int kVectors, int kRows = kBlockRows, class Access, class Lanes>
HWY_INLINE void multiply(Product p, const Access& access, const Lanes& lanes) {
  for (; p.rows >= kRows; p.rows -= kRows) {
    product_block<kRows, kVectors>(p, access, lanes);
    p.a.data += kRows * p.a.row;
    p.c += kRows * p.c_row;
  }
  if constexpr (kRows > 1) multiply<kVectors, kRows / 2>(p, access, lanes);
}

/// A product whose depth are the keys of a window and whose columns are lanes: a lane takes part
/// where it sees the key.
template <int kVectors>
void multiply_seen(Product p, const KeyWindow& window) {
  const SeeingLanes seeing{window};
  const auto cut = [&](int begin, int end) {
    p.depth_begin = begin;
    p.depth_end = end;
    return end > begin;
  };
  if (cut(0, window.common_begin)) multiply<kVectors>(p, WholeVector(), seeing);
  if (cut(window.common_begin, window.common_end)) multiply<kVectors>(p, WholeVector(), AllLanes());
  if (cut(window.common_end, window.count)) multiply<kVectors>(p, WholeVector(), seeing);
}

/// A product with any number of columns. b must be readable up to whole vectors, c need not be.
inline void multiply_wide(Product p, int columns) {
  const auto advance = [&](int done) {
    p.b += done;
    p.c += done;
    columns -= done;
  };
  for (; columns >= 2 * kLanes; advance(2 * kLanes)) multiply<2>(p, WholeVector(), AllLanes());
  for (; columns >= kLanes; advance(kLanes)) multiply<1>(p, WholeVector(), AllLanes());
  if (columns > 0) {
    multiply<1>(p, PartVector{static_cast<size_t>(columns)}, AllLanes());
  }
}

/// Transpositions go by blocks of 4 x 4 (1 x 1 on the scalar target).
using BlockTag = hn::CappedTag<float, 4>;
using BlockRow = hn::Vec<BlockTag>;
inline constexpr int kBlock = static_cast<int>(hn::MaxLanes(BlockTag()));
static_assert(kTileWidth % kBlock == 0);

HWY_INLINE void transpose([[maybe_unused]] BlockRow (&rows)[kBlock]) {
#if HWY_TARGET != HWY_SCALAR
  const BlockTag d;
  const auto low02 = hn::InterleaveLower(d, rows[0], rows[2]);
  const auto low13 = hn::InterleaveLower(d, rows[1], rows[3]);
  const auto high02 = hn::InterleaveUpper(d, rows[0], rows[2]);
  const auto high13 = hn::InterleaveUpper(d, rows[1], rows[3]);
  rows[0] = hn::InterleaveLower(d, low02, low13);
  rows[1] = hn::InterleaveUpper(d, low02, low13);
  rows[2] = hn::InterleaveLower(d, high02, high13);
  rows[3] = hn::InterleaveUpper(d, high02, high13);
#endif
}

/// panel [size, kTileWidth] = scale * transposed heads; head i is the `size` floats at heads[i].
inline void load_panel(const std::array<const float*, kTileWidth>& heads, int size, float scale,
                       float* panel) {
  const BlockTag d;
  const auto factor = hn::Set(d, scale);
  const int whole = size / kBlock * kBlock;
  for (int lane = 0; lane < kTileWidth; lane += kBlock) {
    for (int i = 0; i < whole; i += kBlock) {
      BlockRow rows[kBlock];
      for (int j = 0; j < kBlock; ++j) {
        rows[j] = hn::Mul(factor, hn::LoadU(d, heads[lane + j] + i));
      }
      transpose(rows);
      for (int j = 0; j < kBlock; ++j) hn::Store(rows[j], d, panel + (i + j) * kTileWidth + lane);
    }
  }
  for (int i = whole; i < size; ++i) {
    for (int lane = 0; lane < kTileWidth; ++lane) {
      panel[i * kTileWidth + lane] = scale * heads[lane][i];
    }
  }
}

/// Writes or adds the columns of panel [size, kTileWidth] to the first `count` heads.
template <bool kAdd>
void store_panel(const float* panel, int size, int count,
                 const std::array<float*, kTileWidth>& heads) {
  const BlockTag d;
  const int whole_lanes = count / kBlock * kBlock;
  const int whole = size / kBlock * kBlock;
  for (int lane = 0; lane < whole_lanes; lane += kBlock) {
    for (int i = 0; i < whole; i += kBlock) {
      BlockRow rows[kBlock];
      for (int j = 0; j < kBlock; ++j) {
        rows[j] = hn::Load(d, panel + (i + j) * kTileWidth + lane);
      }
      transpose(rows);
      for (int j = 0; j < kBlock; ++j) {
        float* to = heads[lane + j] + i;
        hn::StoreU(kAdd ? hn::Add(rows[j], hn::LoadU(d, to)) : rows[j], d, to);
      }
    }
  }
  for (int lane = 0; lane < count; ++lane) {
    for (int i = lane < whole_lanes ? whole : 0; i < size; ++i) {
      const float value = panel[i * kTileWidth + lane];
      heads[lane][i] = kAdd ? heads[lane][i] + value : value;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#endif  // include guard
