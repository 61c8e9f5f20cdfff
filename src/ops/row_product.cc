#include "ops/row_product.h"

#include <algorithm>
#include <cstring>

#include "base/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/row_product.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace evo {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
// Capped so that two vectors always fit into a block.
using Tag = hn::CappedTag<float, kRowProductBlock / 2>;

HWY_INLINE hn::Vec<Tag> load_weights(const float* from) {
  return hn::Load(Tag(), from);
}

HWY_INLINE hn::Vec<Tag> load_weights(const uint16_t* from) {
  const hn::RebindToUnsigned<Tag> bits;
  const auto halves = hn::Load(hn::Rebind<uint16_t, Tag>(), from);
  return hn::BitCast(Tag(), hn::ShiftLeft<16>(hn::PromoteTo(bits, halves)));
}

/// Two vectors of outputs for kRows rows: with six rows twelve sums, which hide the latency of the
/// multiply-add and still fit into sixteen registers beside the operands.
template <int kRows, class Type>
HWY_INLINE void two_vectors(const float* HWY_RESTRICT x, int64_t in,
                            const Type* HWY_RESTRICT packed, float* HWY_RESTRICT sums) {
  const Tag d;
  const size_t lanes = hn::Lanes(d);
  hn::Vec<Tag> low[kRows], high[kRows];
  for (int r = 0; r < kRows; ++r) low[r] = high[r] = hn::Zero(d);
  for (int64_t k = 0; k < in; ++k) {
    const auto w_low = load_weights(packed + k * kRowProductBlock);
    const auto w_high = load_weights(packed + k * kRowProductBlock + lanes);
    for (int r = 0; r < kRows; ++r) {
      const auto factor = hn::Set(d, x[r * in + k]);
      low[r] = hn::MulAdd(factor, w_low, low[r]);
      high[r] = hn::MulAdd(factor, w_high, high[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    hn::Store(low[r], d, sums + r * kRowProductBlock);
    hn::Store(high[r], d, sums + r * kRowProductBlock + lanes);
  }
}

/// One block of outputs, `width` of which exist, for kRows rows.
template <int kRows, class Type>
void one_block(const float* x, int64_t in, const Type* packed, int64_t width, float* y,
               int64_t out) {
  HWY_ALIGN float sums[kRows * kRowProductBlock];
  const auto step = static_cast<int64_t>(2 * hn::Lanes(Tag()));
  for (int64_t j = 0; j < kRowProductBlock; j += step) {
    two_vectors<kRows>(x, in, packed + j, sums + j);
  }
  for (int r = 0; r < kRows; ++r) {
    std::memcpy(y + r * out, sums + r * kRowProductBlock,
                static_cast<size_t>(width) * sizeof(float));
  }
}

template <class Type>
void all_blocks(const float* x, int64_t rows, const Type* packed, int64_t out, int64_t in, float* y,
                int64_t begin, int64_t end) {
  for (int64_t b = begin; b < end; ++b) {
    const Type* block = packed + b * in * kRowProductBlock;
    const int64_t width = std::min(kRowProductBlock, out - b * kRowProductBlock);
    const float* x_row = x;
    float* y_row = y + b * kRowProductBlock;
    int64_t left = rows;
    for (; left >= 6; left -= 6, x_row += 6 * in, y_row += 6 * out) {
      one_block<6>(x_row, in, block, width, y_row, out);
    }
    switch (left) {
      case 5:
        one_block<5>(x_row, in, block, width, y_row, out);
        break;
      case 4:
        one_block<4>(x_row, in, block, width, y_row, out);
        break;
      case 3:
        one_block<3>(x_row, in, block, width, y_row, out);
        break;
      case 2:
        one_block<2>(x_row, in, block, width, y_row, out);
        break;
      case 1:
        one_block<1>(x_row, in, block, width, y_row, out);
        break;
      default:
        break;
    }
  }
}

void blocks_f32(const float* x, int64_t rows, const float* packed, int64_t out, int64_t in,
                float* y, int64_t begin, int64_t end) {
  all_blocks(x, rows, packed, out, in, y, begin, end);
}

void blocks_bf16(const float* x, int64_t rows, const uint16_t* packed, int64_t out, int64_t in,
                 float* y, int64_t begin, int64_t end) {
  all_blocks(x, rows, packed, out, in, y, begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace evo {

HWY_EXPORT(blocks_f32);
HWY_EXPORT(blocks_bf16);

namespace {

int64_t blocks_of(int64_t out) {
  return (out + kRowProductBlock - 1) / kRowProductBlock;
}

}  // namespace

int64_t row_product_size(int64_t out, int64_t in) {
  return blocks_of(out) * in * kRowProductBlock;
}

template <class Type>
void pack_row_product(const Type* weight, int64_t out, int64_t in, Type* packed) {
  parallel_for(blocks_of(out), 1, [=](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      Type* block = packed + b * in * kRowProductBlock;
      for (int64_t j = 0; j < kRowProductBlock; ++j) {
        const int64_t row = b * kRowProductBlock + j;
        for (int64_t k = 0; k < in; ++k) {
          block[k * kRowProductBlock + j] = row < out ? weight[row * in + k] : Type{};
        }
      }
    }
  });
}

template void pack_row_product(const float*, int64_t, int64_t, float*);
template void pack_row_product(const uint16_t*, int64_t, int64_t, uint16_t*);

void row_product(const float* x, int64_t rows, const float* packed, int64_t out, int64_t in,
                 float* y) {
  const auto blocks = HWY_DYNAMIC_DISPATCH(blocks_f32);
  parallel_for(blocks_of(out), 1, [=](int64_t begin, int64_t end) {
    blocks(x, rows, packed, out, in, y, begin, end);
  });
}

void row_product(const float* x, int64_t rows, const uint16_t* packed, int64_t out, int64_t in,
                 float* y) {
  const auto blocks = HWY_DYNAMIC_DISPATCH(blocks_bf16);
  parallel_for(blocks_of(out), 1, [=](int64_t begin, int64_t end) {
    blocks(x, rows, packed, out, in, y, begin, end);
  });
}

}  // namespace evo
#endif
