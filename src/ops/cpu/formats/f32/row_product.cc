#include "ops/cpu/formats/f32/row_product.h"

#include <algorithm>

#include "base/threads/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/formats/f32/row_product.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/formats/f32/row_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

/// Half a block is a whole number of these vectors.
using Tag = hn::CappedTag<float, ops::kRowProductBlock / 2>;
using Vec = hn::Vec<Tag>;
constexpr int64_t kHalf = ops::kRowProductBlock / 2;

struct Kernel {
  using Sum = float;
  static constexpr int64_t kStepInputs = 1;
  static constexpr int64_t kStepBytes = ops::kRowProductBlock * sizeof(float);

  const float* x;
  int64_t rows, x_stride;
  const float* w;
  int64_t steps, out;
  float* y;

  template <int... kRow>
  void add(const Piece<float, float>& piece, float* HWY_RESTRICT sums) const {
    const Tag d;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    for (int64_t j = 0; j < kHalf; j += lanes) {
      float* lows = sums + j;
      float* highs = lows + kHalf;
      Vec low[] = {hn::Load(d, lows + kRow * ops::kRowProductBlock)...};
      Vec high[] = {hn::Load(d, highs + kRow * ops::kRowProductBlock)...};
      for (int64_t k = 0; k < piece.steps; ++k) {
        fetch_ahead<kStepBytes>(piece, k);
        const float* line = piece.w + k * ops::kRowProductBlock + j;
        const Vec w_low = hn::Load(d, line), w_high = hn::Load(d, line + kHalf);
        Vec factor;
        ((factor = hn::Set(d, piece.x[kRow * piece.x_stride + k]),
          low[kRow] = hn::MulAdd(factor, w_low, low[kRow]),
          high[kRow] = hn::MulAdd(factor, w_high, high[kRow])),
         ...);
      }
      (hn::Store(low[kRow], d, lows + kRow * ops::kRowProductBlock), ...);
      (hn::Store(high[kRow], d, highs + kRow * ops::kRowProductBlock), ...);
    }
  }

  [[nodiscard]] static constexpr int64_t step_bytes() { return kStepBytes; }
  [[nodiscard]] const float* steps_of(int64_t b) const {
    return w + b * steps * ops::kRowProductBlock;
  }

  void start(int64_t /*b*/, int64_t count, float* sums) const {
    std::fill_n(sums, count * ops::kRowProductBlock, 0.0f);
  }

  void finish(int64_t b, int64_t first, int64_t count, const float* sums) const {
    for (int64_t r = 0; r < count; ++r, sums += ops::kRowProductBlock) {
      copy_block(sums, b, out, y + (first + r) * out);
    }
  }
};

void blocks(const float* x, int64_t rows, const float* packed, int64_t out, int64_t in, float* y,
            int64_t begin, int64_t end) {
  multiply_blocks(Kernel{x, rows, in, packed, in, out, y}, begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace evo::ops {

HWY_EXPORT(blocks);

int64_t row_product_grain(int64_t in, int64_t rows, int64_t weight_bytes) {
  constexpr int64_t kWorthwhile = 1 << 18;
  return 1 + kWorthwhile / (kRowProductBlock * in * weight_bytes * (rows + 4));
}

int64_t row_product_size(int64_t out, int64_t in) {
  return row_product_blocks(out) * in * kRowProductBlock;
}

void pack_row_product(const float* weight, int64_t out, int64_t in, float* packed) {
  parallel_for(row_product_blocks(out), 1, [=](int64_t begin, int64_t end) {
    for (int64_t row = begin * kRowProductBlock; row < end * kRowProductBlock; ++row) {
      float* to = packed + row / kRowProductBlock * in * kRowProductBlock + row % kRowProductBlock;
      for (int64_t k = 0; k < in; ++k) {
        to[k * kRowProductBlock] = row < out ? weight[row * in + k] : 0.0f;
      }
    }
  });
}

void unpack_row(const float* packed, int64_t in, int64_t index, float* row) {
  const float* from =
      packed + index / kRowProductBlock * in * kRowProductBlock + index % kRowProductBlock;
  for (int64_t k = 0; k < in; ++k) row[k] = from[k * kRowProductBlock];
}

void row_product(const float* x, int64_t rows, const float* packed, int64_t out, int64_t in,
                 float* y) {
  const auto multiply = HWY_DYNAMIC_DISPATCH(blocks);
  parallel_for(
      row_product_blocks(out), row_product_grain(in, rows, sizeof(*packed)),
      [=](int64_t begin, int64_t end) { multiply(x, rows, packed, out, in, y, begin, end); });
}

}  // namespace evo::ops
#endif
