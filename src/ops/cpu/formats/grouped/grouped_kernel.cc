#include "ops/cpu/formats/grouped/grouped_kernel.h"

// The target whose CPUs have AVX512-VNNI; Highway leaves it out unless asked for it.
#define HWY_WANT_AVX3_DL

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <numeric>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/formats/grouped/grouped_kernel.cc"
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

constexpr int64_t kBlock = ops::kRowProductBlock;

#if HWY_TARGET == HWY_AVX3_DL
constexpr bool kInParts = true;

void arrange(const int16_t* values, int8_t* to) {
  const hn::ScalableTag<int16_t> words;
  const hn::Rebind<int8_t, decltype(words)> bytes;
  const auto half = hn::Set(words, 64);
  for (size_t i = 0; i < ops::kGroupInputs; i += hn::Lanes(words)) {
    const auto value = hn::Load(words, values + i);
    const auto first = hn::ShiftRight<7>(hn::Add(value, half));
    hn::StoreU(hn::DemoteTo(bytes, first), bytes, to + i);
    hn::StoreU(hn::DemoteTo(bytes, hn::Sub(value, hn::ShiftLeft<7>(first))), bytes,
               to + ops::kGroupInputs + i);
  }
}
#else
constexpr bool kInParts = false;

void arrange(const int16_t* values, int8_t* to) {
  for (int64_t i = 0; i < ops::kGroupInputs; i += 4) {
    const int16_t pairs[] = {values[i], values[i + 2], values[i + 1], values[i + 3]};
    std::memcpy(to + i * int64_t{sizeof(int16_t)}, pairs, sizeof(pairs));
  }
}
#endif

bool in_parts() {
  return kInParts;
}

void group(const float* x, ops::InputGroup& to) {
  constexpr auto kInfinity = std::bit_cast<int32_t>(std::numeric_limits<float>::infinity());
  constexpr float kNothing = 0x1p-100f;  // kLargestInput / largest must be finite
  const int32_t bits_of_largest = largest_bits(x, ops::kGroupInputs);
  const auto largest = std::bit_cast<float>(bits_of_largest);
  if (bits_of_largest >= kInfinity || largest < kNothing) {
    to = {};
    if (bits_of_largest >= kInfinity) to.scale = std::numeric_limits<float>::quiet_NaN();
    return;
  }
  to.scale = largest / ops::kLargestInput;
  HWY_ALIGN int16_t values[ops::kGroupInputs];
  round_all(x, ops::kGroupInputs, ops::kLargestInput / largest, 0, values);
  to.sum = std::accumulate(values, values + ops::kGroupInputs, int32_t{0});
  arrange(values, to.values);
}

void inputs(const float* x, int64_t count, ops::InputGroup* to) {
  const int64_t whole = count / ops::kGroupInputs;
  for (int64_t g = 0; g < whole; ++g) group(x + g * ops::kGroupInputs, to[g]);
  if (whole * ops::kGroupInputs == count) return;
  float rest[ops::kGroupInputs] = {};
  std::copy(x + whole * ops::kGroupInputs, x + count, rest);
  group(rest, to[whole]);
}

#undef EVO_TARGET_VNNI
#if HWY_TARGET == HWY_AVX3_DL
/// Highway's string for this target names another VNNI (of 256 bits).
#define EVO_TARGET_VNNI __attribute__((target(HWY_TARGET_STR ",avx512vnni")))
#else
#define EVO_TARGET_VNNI
#endif

#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || \
    HWY_TARGET == HWY_AVX3_DL

using Tag = hn::ScalableTag<int32_t>;
using Sums = hn::Vec<Tag>;

/// Four bytes of x, to meet a lane of weights.
HWY_INLINE Sums broadcast(const int8_t* from) {
  int32_t bits;
  std::memcpy(&bits, from, sizeof(bits));
  return hn::Set(Tag(), bits);
}

/// Bits [kShift, kShift + kBits) of every Word of a vector.
template <int64_t kBits, int kShift, class Word>
HWY_INLINE Sums field_of(Word, Sums w) {
  const hn::ScalableTag<Word> words;
  const hn::ScalableTag<uint16_t> pairs;  // bytes cannot be shifted
  auto bits = hn::BitCast(pairs, w);
  if constexpr (kShift > 0) bits = hn::ShiftRight<kShift>(bits);
  if constexpr (kShift + kBits < 16)
    bits = hn::And(bits, hn::BitCast(pairs, hn::Set(words, (1 << kBits) - 1)));
  return hn::BitCast(Tag(), bits);
}

#if HWY_TARGET == HWY_AVX3_DL

EVO_TARGET_VNNI HWY_INLINE Sums add_fours(Sums sums, Sums w, Sums x) {
  return Sums{_mm512_dpbusd_epi32(sums.raw, w.raw, x.raw)};
}

/// Adds a part of x, four inputs at each of the lanes' bytes.
template <int64_t kBits, int... kRow>
EVO_TARGET_VNNI HWY_INLINE void add_part(Rows<kRow...>, Sums w, const int8_t* x, int64_t x_stride,
                                         Sums* sums) {
  const auto low = kBits == 8 ? w : field_of<4, 0>(uint8_t(), w);
  ((sums[kRow] = add_fours(sums[kRow], low, broadcast(x + kRow * x_stride))), ...);
  if constexpr (kBits == 8) return;
  const auto high = field_of<4, 4>(uint8_t(), w);
  ((sums[kRow] = add_fours(sums[kRow], high, broadcast(x + 4 + kRow * x_stride))), ...);
}

/// The sums of a group for two vectors of outputs. Both parts of x in the same registers, one after
/// the other: with sums of each, rows would have to be fewer.
template <int64_t kBits, int... kRow>
EVO_TARGET_VNNI HWY_INLINE void add_weights(Rows<kRow...> rows, const int8_t* x, int64_t x_stride,
                                            const int32_t* w, Sums* low, Sums* high) {
  constexpr int64_t kLaneInputs = 32 / kBits, kLines = ops::kGroupInputs / kLaneInputs;
  const Tag d;
  for (int part = 0; part < 2; ++part, x += ops::kGroupInputs) {
    for (int64_t i = 0; i < kLines; ++i) {
      const int32_t* line = w + i * kBlock;
      add_part<kBits>(rows, hn::Load(d, line), x + i * kLaneInputs, x_stride, low);
      add_part<kBits>(rows, hn::Load(d, line + hn::MaxLanes(d)), x + i * kLaneInputs, x_stride,
                      high);
    }
    if (part == 1) break;
    ((low[kRow] = hn::ShiftLeft<7>(low[kRow]), high[kRow] = hn::ShiftLeft<7>(high[kRow])), ...);
  }
}

#else

/// Adds the pairs of weights at `kShift` in both halves of a lane.
template <int64_t kBits, int kShift, int... kRow>
HWY_INLINE void add_pairs(Rows<kRow...>, Sums w, const int8_t* x, int64_t x_stride, Sums* sums) {
  const hn::ScalableTag<int16_t> words;
  const auto pairs = hn::BitCast(words, field_of<kBits, kShift>(uint16_t(), w));
  auto unused = hn::Zero(Tag());
  ((sums[kRow] = hn::ReorderWidenMulAccumulate(
        Tag(), hn::BitCast(words, broadcast(x + kRow * x_stride)), pairs, sums[kRow], unused)),
   ...);
}

/// The sums of a group for two vectors of outputs.
template <int64_t kBits, int... kRow>
HWY_INLINE void add_weights(Rows<kRow...> rows, const int8_t* x, int64_t x_stride, const int32_t* w,
                            Sums* low, Sums* high) {
  constexpr int64_t kLaneInputs = 32 / kBits, kLines = ops::kGroupInputs / kLaneInputs;
  const Tag d;
  for (int64_t i = 0; i < kLines; ++i, x += kLaneInputs * int64_t{sizeof(int16_t)}) {
    const auto add = [&](Sums lanes, Sums* sums) {
      if constexpr (kBits == 8) {
        add_pairs<8, 0>(rows, lanes, x, x_stride, sums);
        add_pairs<8, 8>(rows, lanes, x + 4, x_stride, sums);
      } else {
        add_pairs<4, 0>(rows, lanes, x, x_stride, sums);
        add_pairs<4, 4>(rows, lanes, x + 8, x_stride, sums);
        add_pairs<4, 8>(rows, lanes, x + 4, x_stride, sums);
        add_pairs<4, 12>(rows, lanes, x + 12, x_stride, sums);
      }
    };
    add(hn::Load(d, w + i * kBlock), low);
    add(hn::Load(d, w + i * kBlock + hn::MaxLanes(d)), high);
  }
}

#endif

/// What a group of weights adds to a vector of outputs. Not fused, so that the bits are the same on
/// CPUs that cannot.
template <int64_t kBits>
HWY_INLINE void add_scaled(Sums sum, const ops::InputGroup& x, const hwy::float16_t* halves,
                           float* to) {
  const hn::ScalableTag<float> real;
  const hn::Rebind<hwy::float16_t, decltype(real)> half;
  const auto scale = hn::Mul(hn::PromoteTo(real, hn::Load(half, halves)), hn::Set(real, x.scale));
  auto total = hn::Add(hn::Load(real, to), hn::Mul(hn::ConvertTo(real, sum), scale));
  if constexpr (ops::group_layout(kBits).has_minimum()) {
    const auto minimum = hn::PromoteTo(real, hn::Load(half, halves + kBlock));
    total = hn::Add(total, hn::Mul(minimum, hn::Set(real, static_cast<float>(x.sum) * x.scale)));
  }
  hn::Store(total, real, to);
}

template <int64_t kBits, int... kRow>
EVO_TARGET_VNNI HWY_INLINE void add_group(Rows<kRow...> rows, const ops::InputGroup* x,
                                          int64_t x_stride, const uint8_t* w, float* sums) {
  constexpr ops::GroupLayout kLayout = ops::group_layout(kBits);
  constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(Tag()));
  // In parts the offset meets them as a multiple of 128, which the shift is for.
  constexpr auto kOffset = static_cast<int32_t>(kInParts ? kLayout.offset / 128 : kLayout.offset);
  static_assert(!kInParts || kLayout.offset % 128 == 0);
  const auto* halves = reinterpret_cast<const hwy::float16_t*>(w + kLayout.weight_bytes());
  const auto stride = x_stride * static_cast<int64_t>(sizeof(ops::InputGroup));
  for (int64_t j = 0; j < kBlock; j += 2 * kLanes) {
    Sums low[] = {hn::Set(Tag(), -kOffset * x[kRow * x_stride].sum)...};
    Sums high[] = {low[kRow]...};
    add_weights<kBits>(rows, x->values, stride, reinterpret_cast<const int32_t*>(w) + j, low, high);
    (add_scaled<kBits>(low[kRow], x[kRow * x_stride], halves + j, sums + kRow * kBlock + j), ...);
    (add_scaled<kBits>(high[kRow], x[kRow * x_stride], halves + j + kLanes,
                       sums + kRow * kBlock + j + kLanes),
     ...);
  }
}

#else

template <int64_t kBits, int... kRow>
void add_group(Rows<kRow...>, const ops::InputGroup* x, int64_t x_stride, const uint8_t* w,
               float* sums) {
  constexpr ops::GroupLayout kLayout = ops::group_layout(kBits);
  for (int64_t r = 0; r < static_cast<int64_t>(sizeof...(kRow)); ++r, x += x_stride) {
    for (int64_t j = 0; j < kBlock; ++j) {
      int32_t sum = -static_cast<int32_t>(kLayout.offset) * x->sum;
      for (int64_t i = 0; i < ops::kGroupInputs; ++i) {
        constexpr int64_t kPlace[] = {0, 2, 1, 3};
        int16_t value = 0;
        std::memcpy(&value, x->values + 2 * (i / 4 * 4 + kPlace[i % 4]), sizeof(value));
        sum += kLayout.stored(w, j, i) * value;
      }
      const float scale = kLayout.scale(w, j) * x->scale;
      float total = sums[r * kBlock + j] + static_cast<float>(sum) * scale;
      if (kLayout.has_minimum())
        total = total + kLayout.minimum(w, j) * (static_cast<float>(x->sum) * x->scale);
      sums[r * kBlock + j] = total;
    }
  }
}

#endif

template <int64_t kBits>
struct Kernel {
  using Sum = float;
  static constexpr ops::GroupLayout kLayout = ops::group_layout(kBits);
  static constexpr int64_t kStepInputs = 1;  // a group
  static constexpr int64_t kStepBytes = kLayout.bytes();

  explicit Kernel(const GroupedTask& of)
      : task(of), x(of.x), rows(of.rows), x_stride(of.groups), w(of.w), steps(of.groups) {}

  template <int... kRow>
  EVO_TARGET_VNNI static void add(const Piece<ops::InputGroup, uint8_t>& piece, float* sums) {
    for (int64_t s = 0; s < piece.steps; ++s) {
      fetch(piece, s);
      const uint8_t* w = piece.w + s * kStepBytes;
      add_group<kBits>(Rows<kRow...>(), piece.x + s, piece.x_stride, w, sums);
    }
  }

  /// Asks for all lines of a group that will be needed soon.
  static HWY_INLINE void fetch(const Piece<ops::InputGroup, uint8_t>& piece, int64_t step) {
    const char* from = piece.ahead + step * piece.ahead_step;
    for (int64_t i = 0; i < piece.ahead_step; i += 64) __builtin_prefetch(from + i, 0, 2);
  }

  static void start(int64_t /*b*/, int64_t count, float* sums) {
    std::fill_n(sums, count * kBlock, 0.0f);
  }

  void finish(int64_t b, int64_t first, int64_t count, const float* sums) const {
    for (int64_t r = first; r < first + count; ++r, sums += kBlock)
      copy_block(sums, b, task.out, task.y + r * task.out);
  }

  const GroupedTask& task;
  const ops::InputGroup* x;
  int64_t rows, x_stride;
  const uint8_t* w;
  int64_t steps;
};

void blocks_8(const GroupedTask& task, int64_t begin, int64_t end) {
  multiply_blocks(Kernel<8>(task), begin, end);
}

void blocks_4(const GroupedTask& task, int64_t begin, int64_t end) {
  multiply_blocks(Kernel<4>(task), begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace evo::ops {

HWY_EXPORT(inputs);
HWY_EXPORT(in_parts);
HWY_EXPORT(blocks_8);
HWY_EXPORT(blocks_4);

void grouped_inputs(const float* x, int64_t count, InputGroup* to) {
  HWY_DYNAMIC_DISPATCH(inputs)(x, count, to);
}

bool grouped_inputs_in_parts() {
  return HWY_DYNAMIC_DISPATCH(in_parts)();
}

void grouped_multiply_8(const GroupedTask& task, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(blocks_8)(task, begin, end);
}

void grouped_multiply_4(const GroupedTask& task, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(blocks_4)(task, begin, end);
}

}  // namespace evo::ops
#endif
