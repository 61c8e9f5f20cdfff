#include "ops/cpu/formats/bf16/bf16_kernel.h"

// The target of CPUs that may have AVX512-BF16; Highway leaves it out unless asked for it.
#define HWY_WANT_AVX3_DL

#include <algorithm>
#include <cstring>

#include "base/error.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/formats/bf16/bf16_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/formats/f32/row_product-inl.h"

#if HWY_TARGET == HWY_AVX3_DL
#include <immintrin.h>
#endif

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kBlock = ops::kRowProductBlock, kHalf = kBlock / 2;

template <class Of>
struct Kernel {
  using Input = Of;
  using Sum = float;
  static constexpr int64_t kStepInputs = ops::kBF16Step;
  static constexpr int64_t kStepBytes = kBlock * ops::kBF16Step * sizeof(uint16_t);
  using Part = Piece<Input, uint16_t>;

  explicit Kernel(const BF16Task& of)
      : x(static_cast<const Input*>(of.x)),
        rows(of.rows),
        x_stride(of.stride),
        w(of.w),
        steps(of.steps),
        out(of.out),
        y(of.y) {}

  [[nodiscard]] static constexpr int64_t step_bytes() { return kStepBytes; }
  [[nodiscard]] const uint16_t* steps_of(int64_t b) const {
    return w + b * steps * kBlock * ops::kBF16Step;
  }

  void start(int64_t /*b*/, int64_t count, float* sums) const {
    std::fill_n(sums, count * kBlock, 0.0f);
  }

  void finish(int64_t b, int64_t first, int64_t count, const float* sums) const {
    for (int64_t r = 0; r < count; ++r, sums += kBlock) {
      copy_block(sums, b, out, y + (first + r) * out);
    }
  }

  /// Into the L1 cache: eight rows take 1.32 times one row then, and 1.38 out of the L2 cache.
  static HWY_INLINE void fetch(const Part& piece, int64_t step) {
    fetch_ahead<kStepBytes, 3>(piece, step);
  }

  const Input* x;
  int64_t rows, x_stride;
  const uint16_t* w;
  int64_t steps, out;
  float* y;
};

/// Half a block is a whole number of these vectors; a lane holds a pair of weights of an output.
using Tag = hn::CappedTag<float, kHalf>;
using Vec = hn::Vec<Tag>;
using Bits = hn::RebindToUnsigned<Tag>;

/// The first of each pair as a float, and the second.
HWY_INLINE Vec first_of(hn::Vec<Bits> pairs) {
  return hn::BitCast(Tag(), hn::ShiftLeft<16>(pairs));
}
HWY_INLINE Vec second_of(hn::Vec<Bits> pairs) {
  return hn::BitCast(Tag(), hn::And(pairs, hn::Set(Bits(), 0xFFFF0000u)));
}

struct Widened : Kernel<float> {
  using Kernel::Kernel;

  template <int... kRow>
  void add(const Part& piece, float* HWY_RESTRICT sums) const {
    const Tag d;
    const Bits bits;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    for (int64_t j = 0; j < kHalf; j += lanes) {
      float* lows = sums + j;
      float* highs = lows + kHalf;
      Vec low[] = {hn::Load(d, lows + kRow * kBlock)...};
      Vec high[] = {hn::Load(d, highs + kRow * kBlock)...};
      for (int64_t k = 0; k < piece.steps; ++k) {
        fetch(piece, k);
        const auto* pairs = reinterpret_cast<const uint32_t*>(piece.w) + k * kBlock + j;
        const auto low_pairs = hn::Load(bits, pairs), high_pairs = hn::Load(bits, pairs + kHalf);
        const float* row = piece.x + k * ops::kBF16Step;
        Vec factor, w_low = first_of(low_pairs), w_high = first_of(high_pairs);
        ((factor = hn::Set(d, row[kRow * piece.x_stride]),
          low[kRow] = hn::MulAdd(factor, w_low, low[kRow]),
          high[kRow] = hn::MulAdd(factor, w_high, high[kRow])),
         ...);
        w_low = second_of(low_pairs), w_high = second_of(high_pairs);
        ((factor = hn::Set(d, row[kRow * piece.x_stride + 1]),
          low[kRow] = hn::MulAdd(factor, w_low, low[kRow]),
          high[kRow] = hn::MulAdd(factor, w_high, high[kRow])),
         ...);
      }
      (hn::Store(low[kRow], d, lows + kRow * kBlock), ...);
      (hn::Store(high[kRow], d, highs + kRow * kBlock), ...);
    }
  }
};

void widened(const BF16Task& task, int64_t begin, int64_t end) {
  multiply_blocks(Widened(task), begin, end);
}

#if HWY_TARGET == HWY_AVX3_DL

#define EVO_TARGET_BF16 __attribute__((target(HWY_TARGET_STR ",avx512bf16")))

EVO_TARGET_BF16 HWY_INLINE Vec add_dots(Vec sums, hn::Vec<Bits> x, hn::Vec<Bits> w) {
  return Vec{_mm512_dpbf16_ps(sums.raw, reinterpret_cast<__m512bh>(x.raw),
                              reinterpret_cast<__m512bh>(w.raw))};
}

HWY_INLINE uint32_t pair_at(const uint16_t* from) {
  uint32_t pair;
  std::memcpy(&pair, from, sizeof(pair));
  return pair;
}

template <int... kRow>
EVO_TARGET_BF16 void add_rows_of(Rows<kRow...>, const Kernel<uint16_t>::Part& piece,
                                 float* HWY_RESTRICT sums) {
  const Tag d;
  const Bits bits;
  Vec low[] = {hn::Load(d, sums + kRow * kBlock)...};
  Vec high[] = {hn::Load(d, sums + kRow * kBlock + kHalf)...};
  for (int64_t k = 0; k < piece.steps; ++k) {
    Kernel<uint16_t>::fetch(piece, k);
    const auto* pairs = reinterpret_cast<const uint32_t*>(piece.w) + k * kBlock;
    const auto w_low = hn::Load(bits, pairs), w_high = hn::Load(bits, pairs + kHalf);
    const uint16_t* x = piece.x + k * ops::kBF16Step;
    hn::Vec<Bits> pair;
    ((pair = hn::Set(bits, pair_at(x + kRow * piece.x_stride)),
      low[kRow] = add_dots(low[kRow], pair, w_low),
      high[kRow] = add_dots(high[kRow], pair, w_high)),
     ...);
  }
  (hn::Store(low[kRow], d, sums + kRow * kBlock), ...);
  (hn::Store(high[kRow], d, sums + kRow * kBlock + kHalf), ...);
}

struct Dots : Kernel<uint16_t> {
  using Kernel::Kernel;

  template <int... kRow>
  void add(const Part& piece, float* sums) const {
    add_rows_of(Rows<kRow...>(), piece, sums);
  }
};

void dots(const BF16Task& task, int64_t begin, int64_t end) {
  multiply_blocks(Dots(task), begin, end);
}

#else

void dots(const BF16Task& /*task*/, int64_t /*begin*/, int64_t /*end*/) {
  check_failed("a CPU with AVX512-BF16", __FILE__, __LINE__);
}

#endif

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace evo::ops {

HWY_EXPORT(widened);
HWY_EXPORT(dots);

void bf16_multiply_widened(const BF16Task& task, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(widened)(task, begin, end);
}

void bf16_multiply_dots(const BF16Task& task, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(dots)(task, begin, end);
}

}  // namespace evo::ops
#endif
