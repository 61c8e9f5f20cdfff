#include "ops/row_product.h"

#include <algorithm>

#include "base/float_formats.h"
#include "base/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/row_product.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/row_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

/// Half a block is a whole number of these vectors.
using Tag = hn::CappedTag<float, kRowProductBlock / 2>;
using Vec = hn::Vec<Tag>;
constexpr int64_t kHalf = kRowProductBlock / 2;

/// Weights of outputs j .. and j + 16 .. at one input; `from` is the block's line of that input.
HWY_INLINE void load_weights(const float* from, int64_t j, Vec& low, Vec& high) {
  low = hn::Load(Tag(), from + j);
  high = hn::Load(Tag(), from + kHalf + j);
}

HWY_INLINE void load_weights(const uint16_t* from, int64_t j, Vec& low, Vec& high) {
  const hn::RebindToUnsigned<Tag> bits;
  const auto pairs = hn::Load(bits, reinterpret_cast<const uint32_t*>(from) + j);
  low = hn::BitCast(Tag(), hn::ShiftLeft<16>(pairs));
  high = hn::BitCast(Tag(), hn::And(pairs, hn::Set(bits, 0xFFFF0000u)));
}

template <class Type>
struct Kernel {
  using Sum = float;
  static constexpr int64_t kStepInputs = 1;
  static constexpr int64_t kStepBytes = kRowProductBlock * sizeof(Type);

  const float* x;
  int64_t rows, x_stride;
  const Type* w;
  int64_t steps, out;
  float* y;

  template <int... kRow>
  static void add(const Piece<float, Type>& piece, float* HWY_RESTRICT sums) {
    const Tag d;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    for (int64_t j = 0; j < kHalf; j += lanes) {
      float* lows = sums + j;
      float* highs = lows + kHalf;
      Vec low[] = {hn::Load(d, lows + kRow * kRowProductBlock)...};
      Vec high[] = {hn::Load(d, highs + kRow * kRowProductBlock)...};
      for (int64_t k = 0; k < piece.steps; ++k) {
        fetch_ahead<kStepBytes>(piece, k);
        Vec w_low, w_high, factor;
        load_weights(piece.w + k * kRowProductBlock, j, w_low, w_high);
        ((factor = hn::Set(d, piece.x[kRow * piece.x_stride + k]),
          low[kRow] = hn::MulAdd(factor, w_low, low[kRow]),
          high[kRow] = hn::MulAdd(factor, w_high, high[kRow])),
         ...);
      }
      (hn::Store(low[kRow], d, lows + kRow * kRowProductBlock), ...);
      (hn::Store(high[kRow], d, highs + kRow * kRowProductBlock), ...);
    }
  }

  void start(int64_t /*b*/, int64_t count, float* sums) const {
    std::fill_n(sums, count * kRowProductBlock, 0.0f);
  }

  void finish(int64_t b, int64_t first, int64_t count, const float* sums) const {
    for (int64_t r = 0; r < count; ++r, sums += kRowProductBlock) {
      copy_block(sums, b, out, y + (first + r) * out);
    }
  }
};

void blocks_f32(const float* x, int64_t rows, const float* packed, int64_t out, int64_t in,
                float* y, int64_t begin, int64_t end) {
  multiply_blocks(Kernel<float>{x, rows, in, packed, in, out, y}, begin, end);
}

void blocks_bf16(const float* x, int64_t rows, const uint16_t* packed, int64_t out, int64_t in,
                 float* y, int64_t begin, int64_t end) {
  multiply_blocks(Kernel<uint16_t>{x, rows, in, packed, in, out, y}, begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace evo {

HWY_EXPORT(blocks_f32);
HWY_EXPORT(blocks_bf16);

int64_t row_product_grain(int64_t in, int64_t rows, int64_t weight_bytes) {
  constexpr int64_t kWorthwhile = 1 << 18;
  return 1 + kWorthwhile / (kRowProductBlock * in * weight_bytes * (rows + 4));
}

namespace {

float as_float(float value) {
  return value;
}
float as_float(uint16_t value) {
  return from_bf16(value);
}

/// Where output j of a block lies in it.
template <class Type>
int64_t place(int64_t j) {
  constexpr int64_t kHalf = kRowProductBlock / 2;
  return sizeof(Type) == sizeof(float) ? j : j % kHalf * 2 + j / kHalf;
}

}  // namespace

int64_t row_product_size(int64_t out, int64_t in) {
  return row_product_blocks(out) * in * kRowProductBlock;
}

template <class Type>
void pack_row_product(const Type* weight, int64_t out, int64_t in, Type* packed) {
  parallel_for(row_product_blocks(out), 1, [=](int64_t begin, int64_t end) {
    for (int64_t row = begin * kRowProductBlock; row < end * kRowProductBlock; ++row) {
      Type* to = packed + row / kRowProductBlock * in * kRowProductBlock +
                 place<Type>(row % kRowProductBlock);
      for (int64_t k = 0; k < in; ++k) {
        to[k * kRowProductBlock] = row < out ? weight[row * in + k] : Type{};
      }
    }
  });
}

template <class Type>
void unpack_row(const Type* packed, int64_t in, int64_t index, float* row) {
  const Type* from = packed + index / kRowProductBlock * in * kRowProductBlock +
                     place<Type>(index % kRowProductBlock);
  for (int64_t k = 0; k < in; ++k) row[k] = as_float(from[k * kRowProductBlock]);
}

template void pack_row_product(const float*, int64_t, int64_t, float*);
template void pack_row_product(const uint16_t*, int64_t, int64_t, uint16_t*);
template void unpack_row(const float*, int64_t, int64_t, float*);
template void unpack_row(const uint16_t*, int64_t, int64_t, float*);

void row_product(const float* x, int64_t rows, const float* packed, int64_t out, int64_t in,
                 float* y) {
  const auto blocks = HWY_DYNAMIC_DISPATCH(blocks_f32);
  parallel_for(
      row_product_blocks(out), row_product_grain(in, rows, sizeof(*packed)),
      [=](int64_t begin, int64_t end) { blocks(x, rows, packed, out, in, y, begin, end); });
}

void row_product(const float* x, int64_t rows, const uint16_t* packed, int64_t out, int64_t in,
                 float* y) {
  const auto blocks = HWY_DYNAMIC_DISPATCH(blocks_bf16);
  parallel_for(
      row_product_blocks(out), row_product_grain(in, rows, sizeof(*packed)),
      [=](int64_t begin, int64_t end) { blocks(x, rows, packed, out, in, y, begin, end); });
}

}  // namespace evo
#endif
