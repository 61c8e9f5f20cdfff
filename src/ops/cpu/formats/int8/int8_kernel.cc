#include "ops/cpu/formats/int8/int8_kernel.h"

// The target whose CPUs have AVX512-VNNI; Highway leaves it out unless asked for it.
#define HWY_WANT_AVX3_DL

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/formats/int8/int8_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/formats/f32/row_product-inl.h"
#include "ops/cpu/formats/rounding-inl.h"
#include "ops/cpu/simd/simd-inl.h"

#if HWY_TARGET == HWY_AVX3_DL
#include <immintrin.h>
#endif

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_AVX3_DL
// VNNI multiplies unsigned bytes by signed ones, so x is shifted by 128; -128 times the sum of an
// output's weights makes that good.
using Input = uint8_t;
constexpr int32_t kShift = 128;
#else
using Input = int16_t;
constexpr int32_t kShift = 0;
#endif

constexpr int64_t kBlock = ops::kRowProductBlock;
constexpr int64_t kBytesPerStep = kBlock * ops::kInt8Step;

template <class Output>
float quantize_as(const float* x, int64_t count, int32_t shift, Output* to) {
  constexpr auto kInfinity = std::bit_cast<int32_t>(std::numeric_limits<float>::infinity());
  constexpr float kNothing = 0x1p-100f;  // 127 / largest must be finite
  const int32_t bits = largest_bits(x, count);
  const auto largest = std::bit_cast<float>(bits);
  const int64_t padded = (count + ops::kInt8Step - 1) / ops::kInt8Step * ops::kInt8Step;
  if (bits >= kInfinity || largest < kNothing) {
    std::fill_n(to, padded, static_cast<Output>(shift));
    return bits >= kInfinity ? std::numeric_limits<float>::quiet_NaN() : 0.0f;
  }
  round_all(x, count, 127.0f / largest, shift, to);
  std::fill(to + count, to + padded, static_cast<Output>(shift));
  return largest / 127.0f;
}

float quantize(const float* x, int64_t count, int8_t* to) {
  return quantize_as(x, count, 0, to);
}

float quantize_input(const float* x, int64_t count, void* to) {
  return quantize_as(x, count, kShift, static_cast<Input*>(to));
}

size_t input_size() {
  return sizeof(Input);
}

/// Four inputs of a row.
template <class Bits>
HWY_INLINE Bits load(const Input* from) {
  static_assert(sizeof(Bits) == ops::kInt8Step * sizeof(Input));
  Bits bits;
  std::memcpy(&bits, from, sizeof(bits));
  return bits;
}

#if HWY_TARGET == HWY_AVX3_DL

/// Highway's string for this target names another VNNI (of 256 bits).
#define EVO_TARGET_VNNI __attribute__((target(HWY_TARGET_STR ",avx512vnni")))

using Sums = hn::Vec<hn::ScalableTag<int32_t>>;

EVO_TARGET_VNNI HWY_INLINE Sums add_dots(Sums sums, Sums x, Sums w) {
  return Sums{_mm512_dpbusd_epi32(sums.raw, x.raw, w.raw)};
}

template <int... kRow>
EVO_TARGET_VNNI void add_rows_of(Rows<kRow...>, const Piece<Input, int8_t>& piece,
                                 int32_t* HWY_RESTRICT sums) {
  const hn::ScalableTag<int32_t> d;
  Sums low[] = {hn::Load(d, sums + kRow * kBlock)...};
  Sums high[] = {hn::Load(d, sums + kRow * kBlock + kBlock / 2)...};
  for (int64_t s = 0; s < piece.steps; ++s) {
    fetch_ahead<kBytesPerStep>(piece, s);
    const auto* w = reinterpret_cast<const int32_t*>(piece.w + s * kBytesPerStep);
    const Sums w_low = hn::Load(d, w), w_high = hn::Load(d, w + kBlock / 2);
    const Input* x = piece.x + s * ops::kInt8Step;
    Sums four;
    ((four = hn::Set(d, load<int32_t>(x + kRow * piece.x_stride)),
      low[kRow] = add_dots(low[kRow], four, w_low),
      high[kRow] = add_dots(high[kRow], four, w_high)),
     ...);
  }
  (hn::Store(low[kRow], d, sums + kRow * kBlock), ...);
  (hn::Store(high[kRow], d, sums + kRow * kBlock + kBlock / 2), ...);
}

#elif HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

/// Bytes as int16, whose products are added in pairs (pmaddwd): a sum is in two lanes until the
/// end. Adding products of bytes directly (pmaddubsw) would saturate.
template <int... kRow>
void add_rows_of(Rows<kRow...>, const Piece<Input, int8_t>& piece, int32_t* HWY_RESTRICT sums) {
  using Words = hn::ScalableTag<int16_t>;
  const Words words;
  const hn::Rebind<int8_t, Words> bytes;
  const hn::RepartitionToWide<Words> pairs;
  const hn::RepartitionToWide<decltype(pairs)> fours;
  using Sums = hn::Vec<decltype(pairs)>;
  constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(words));
  constexpr int64_t kOutputs = 2 * kLanes / ops::kInt8Step;  // of two vectors of weights

  for (int64_t j = 0; j < kBlock; j += kOutputs) {
    Sums low[] = {(static_cast<void>(kRow), hn::Zero(pairs))...};
    Sums high[] = {(static_cast<void>(kRow), hn::Zero(pairs))...};
    Sums unused = hn::Zero(pairs);
    for (int64_t s = 0; s < piece.steps; ++s) {
      fetch_ahead<kBytesPerStep>(piece, s);
      const int8_t* w = piece.w + s * kBytesPerStep + j * ops::kInt8Step;
      const auto w_low = hn::PromoteTo(words, hn::Load(bytes, w));
      const auto w_high = hn::PromoteTo(words, hn::Load(bytes, w + kLanes));
      const Input* x = piece.x + s * ops::kInt8Step;
      hn::Vec<Words> four;
      ((four = hn::BitCast(words, hn::Set(fours, load<int64_t>(x + kRow * piece.x_stride))),
        low[kRow] = hn::ReorderWidenMulAccumulate(pairs, four, w_low, low[kRow], unused),
        high[kRow] = hn::ReorderWidenMulAccumulate(pairs, four, w_high, high[kRow], unused)),
       ...);
    }
    HWY_ALIGN int32_t halves[sizeof...(kRow) * kLanes];
    (hn::Store(low[kRow], pairs, halves + kRow * kLanes), ...);
    (hn::Store(high[kRow], pairs, halves + kRow * kLanes + kLanes / 2), ...);
    for (int64_t i = 0; i < static_cast<int64_t>(sizeof...(kRow)) * kOutputs; ++i) {
      sums[i / kOutputs * kBlock + j + i % kOutputs] += halves[2 * i] + halves[2 * i + 1];
    }
  }
}

#else

template <int... kRow>
void add_rows_of(Rows<kRow...>, const Piece<Input, int8_t>& piece, int32_t* HWY_RESTRICT sums) {
  for (int64_t r = 0; r < static_cast<int64_t>(sizeof...(kRow)); ++r, sums += kBlock) {
    for (int64_t s = 0; s < piece.steps; ++s) {
      const Input* x = piece.x + r * piece.x_stride + s * ops::kInt8Step;
      const int8_t* w = piece.w + s * kBytesPerStep;
      for (int64_t j = 0; j < kBlock; ++j, w += ops::kInt8Step) {
        sums[j] += x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3];
      }
    }
  }
}

#endif

struct Kernel {
  using Sum = int32_t;
  static constexpr int64_t kStepInputs = ops::kInt8Step;
  static constexpr int64_t kStepBytes = kBytesPerStep;

  explicit Kernel(const Int8Task& of)
      : task(of),
        x(static_cast<const Input*>(of.x)),
        rows(of.rows),
        x_stride(of.stride),
        w(of.w),
        steps(of.steps) {}

  template <int... kRow>
  void add(const Piece<Input, int8_t>& piece, int32_t* sums) const {
    add_rows_of(Rows<kRow...>(), piece, sums);
  }

  [[nodiscard]] static constexpr int64_t step_bytes() { return kStepBytes; }
  [[nodiscard]] const int8_t* steps_of(int64_t b) const { return w + b * steps * kStepBytes; }

  void start(int64_t b, int64_t count, int32_t* sums) const {
    for (int64_t r = 0; r < count; ++r, sums += kBlock) {
      for (int64_t j = 0; j < kBlock; ++j) sums[j] = -kShift * task.w_sums[b * kBlock + j];
    }
  }

  void finish(int64_t b, int64_t first, int64_t count, const int32_t* sums) const {
    const hn::CappedTag<float, kBlock> d;
    const hn::RebindToSigned<decltype(d)> whole;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    HWY_ALIGN float scaled[kBlock];
    for (int64_t r = first; r < first + count; ++r, sums += kBlock) {
      for (int64_t j = 0; j < kBlock; j += lanes) {
        const auto w_scale = hn::Load(d, task.w_scales + b * kBlock + j);
        const auto scale = hn::Mul(hn::Set(d, task.x_scales[r]), w_scale);
        hn::Store(hn::Mul(hn::ConvertTo(d, hn::Load(whole, sums + j)), scale), d, scaled + j);
      }
      copy_block(scaled, b, task.out, task.y + r * task.out);
    }
  }

  const Int8Task& task;
  const Input* x;
  int64_t rows, x_stride;
  const int8_t* w;
  int64_t steps;
};

void blocks(const Int8Task& task, int64_t begin, int64_t end) {
  multiply_blocks(Kernel(task), begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace evo::ops {

HWY_EXPORT(quantize);
HWY_EXPORT(quantize_input);
HWY_EXPORT(input_size);
HWY_EXPORT(blocks);

float int8_quantize(const float* x, int64_t count, int8_t* to) {
  return HWY_DYNAMIC_DISPATCH(quantize)(x, count, to);
}

float int8_quantize_input(const float* x, int64_t count, void* to) {
  return HWY_DYNAMIC_DISPATCH(quantize_input)(x, count, to);
}

size_t int8_input_size() {
  return HWY_DYNAMIC_DISPATCH(input_size)();
}

void int8_multiply_blocks(const Int8Task& task, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(blocks)(task, begin, end);
}

}  // namespace evo::ops
#endif
