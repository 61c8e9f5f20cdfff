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

/// A second part of 8 bits is from -64 to 63, so that the first is no more than 127; one of 4 is
/// what the lowest bits say.
template <int64_t kBits>
void arrange(const int16_t* values, int8_t* to) {
  constexpr int kShift = kBits == 8 ? 7 : 4;
  const hn::ScalableTag<int16_t> words;
  const hn::Rebind<int8_t, decltype(words)> bytes;
  const auto half = hn::Set(words, kBits == 8 ? 64 : 0);
  for (size_t i = 0; i < kGroupInputs; i += hn::Lanes(words)) {
    const auto value = hn::Load(words, values + i);
    const auto first = hn::ShiftRight<kShift>(hn::Add(value, half));
    hn::StoreU(hn::DemoteTo(bytes, first), bytes, to + i);
    hn::StoreU(hn::DemoteTo(bytes, hn::Sub(value, hn::ShiftLeft<kShift>(first))), bytes,
               to + kGroupInputs + i);
  }
}
#else
constexpr bool kInParts = false;

template <int64_t kBits>
void arrange(const int16_t* values, int8_t* to) {
  for (int64_t i = 0; i < kGroupInputs; i += 4) {
    const int16_t pairs[] = {values[i], values[i + 2], values[i + 1], values[i + 3]};
    std::memcpy(to + i * int64_t{sizeof(int16_t)}, pairs, sizeof(pairs));
  }
}
#endif

bool in_parts() {
  return kInParts;
}

template <int64_t kBits>
void group(const float* x, ops::InputGroup& to) {
  constexpr float kLargest = ops::largest_input(kBits);
  constexpr auto kInfinity = std::bit_cast<int32_t>(std::numeric_limits<float>::infinity());
  constexpr float kNothing = 0x1p-100f;  // kLargest / largest must be finite
  const int32_t bits_of_largest = largest_bits(x, kGroupInputs);
  const auto largest = std::bit_cast<float>(bits_of_largest);
  if (bits_of_largest >= kInfinity || largest < kNothing) {
    to = {};
    if (bits_of_largest < kInfinity) return;
    to.scale = std::numeric_limits<float>::quiet_NaN();
    std::ranges::fill(to.scaled_sums, to.scale);
    return;
  }
  to.scale = largest / kLargest;
  HWY_ALIGN int16_t values[kGroupInputs];
  round_all(x, kGroupInputs, kLargest / largest, 0, values);
  constexpr int64_t kHalf = kGroupInputs / 2;
  to.sums[ops::kFirst] = std::accumulate(values, values + kHalf, int32_t{0});
  to.sums[ops::kSecond] = std::accumulate(values + kHalf, values + kGroupInputs, int32_t{0});
  to.sums[ops::kAll] = to.sums[ops::kFirst] + to.sums[ops::kSecond];
  std::ranges::transform(to.sums, to.scaled_sums,
                         [&](int32_t sum) { return static_cast<float>(sum) * to.scale; });
  arrange<kBits>(values, to.values);
}

template <int64_t kBits>
void inputs_for(const float* x, int64_t count, ops::InputGroup* to) {
  const int64_t whole = count / kGroupInputs;
  for (int64_t g = 0; g < whole; ++g) group<kBits>(x + g * kGroupInputs, to[g]);
  if (whole * kGroupInputs == count) return;
  float rest[kGroupInputs] = {};
  std::copy(x + whole * kGroupInputs, x + count, rest);
  group<kBits>(rest, to[whole]);
}

void inputs(const float* x, int64_t count, int64_t bits, ops::InputGroup* to) {
  if (bits == 8) {
    inputs_for<8>(x, count, to);
  } else {
    inputs_for<4>(x, count, to);
  }
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

#if HWY_TARGET == HWY_AVX3_DL

EVO_TARGET_VNNI HWY_INLINE Sums add_fours(Sums sums, Sums w, Sums x) {
  return Sums{_mm512_dpbusd_epi32(sums.raw, w.raw, x.raw)};
}

/// Adds a vector of bytes of weights times four inputs of each row.
template <int... kRow>
EVO_TARGET_VNNI HWY_INLINE void add_bytes(Rows<kRow...>, Sums w, const int8_t* x, int64_t x_stride,
                                          Sums* sums) {
  ((sums[kRow] = add_fours(sums[kRow], w, broadcast(x + kRow * x_stride))), ...);
}

/// Adds halves of bytes times eight inputs: sixteen times the weights meet the first parts of x,
/// the weights themselves the second.
template <int... kRow>
EVO_TARGET_VNNI HWY_INLINE void add_nibbles(Rows<kRow...> rows, Sums w, const int8_t* x,
                                            int64_t x_stride, Sums* sums) {
  const hn::ScalableTag<uint16_t> pairs;  // bytes cannot be shifted
  const hn::ScalableTag<uint8_t> bytes;
  const auto both = hn::BitCast(pairs, w);
  const auto low = hn::BitCast(pairs, hn::Set(bytes, 0x0F)),
             high = hn::BitCast(pairs, hn::Set(bytes, 0xF0));
  const auto add = [&](auto weights, const int8_t* inputs) EVO_TARGET_VNNI {
    add_bytes(rows, hn::BitCast(Tag(), weights), inputs, x_stride, sums);
  };
  add(hn::And(hn::ShiftLeft<4>(both), high), x);
  add(hn::And(both, low), x + kGroupInputs);
  add(hn::And(both, high), x + 4);
  add(hn::And(hn::ShiftRight<4>(both), low), x + kGroupInputs + 4);
}

/// The sums of kInputs of a group for two vectors of outputs.
template <int64_t kBits, int64_t kInputs, int... kRow>
EVO_TARGET_VNNI HWY_INLINE void add_weights(Rows<kRow...> rows, const int8_t* x, int64_t x_stride,
                                            const int32_t* w, Sums* low, Sums* high) {
  constexpr int64_t kLaneInputs = 32 / kBits, kLines = kInputs / kLaneInputs;
  const Tag d;
  if constexpr (kBits == 4) {
    for (int64_t i = 0; i < kLines; ++i, x += kLaneInputs) {
      add_nibbles(rows, hn::Load(d, w + i * kBlock), x, x_stride, low);
      add_nibbles(rows, hn::Load(d, w + i * kBlock + hn::MaxLanes(d)), x, x_stride, high);
    }
    return;
  }
  // Both parts of x in the same registers, one after the other: with sums of each, rows would have
  // to be fewer.
  for (int part = 0; part < 2; ++part, x += kGroupInputs) {
    for (int64_t i = 0; i < kLines; ++i) {
      const int32_t* line = w + i * kBlock;
      add_bytes(rows, hn::Load(d, line), x + i * kLaneInputs, x_stride, low);
      add_bytes(rows, hn::Load(d, line + hn::MaxLanes(d)), x + i * kLaneInputs, x_stride, high);
    }
    if (part == 1) break;
    ((low[kRow] = hn::ShiftLeft<7>(low[kRow]), high[kRow] = hn::ShiftLeft<7>(high[kRow])), ...);
  }
}

#else

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

/// The sums of kInputs of a group for two vectors of outputs.
template <int64_t kBits, int64_t kInputs, int... kRow>
HWY_INLINE void add_weights(Rows<kRow...> rows, const int8_t* x, int64_t x_stride, const int32_t* w,
                            Sums* low, Sums* high) {
  constexpr int64_t kLaneInputs = 32 / kBits, kLines = kInputs / kLaneInputs;
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

/// What a group, or a part of one, adds to a vector of outputs. Not fused, so that the bits are the
/// same on CPUs that cannot.
HWY_INLINE void add_scaled(Sums sum, float x_scale, float x_sum, const float* scales,
                           const float* minima, float* to) {
  const hn::ScalableTag<float> real;
  const auto scale = hn::Mul(hn::Load(real, scales), hn::Set(real, x_scale));
  auto total = hn::Add(hn::Load(real, to), hn::Mul(hn::ConvertTo(real, sum), scale));
  if (minima != nullptr)
    total = hn::Add(total, hn::Mul(hn::Load(real, minima), hn::Set(real, x_sum)));
  hn::Store(total, real, to);
}

/// Part `part` of kParts of a group.
template <int64_t kBits, int64_t kParts, int... kRow>
EVO_TARGET_VNNI HWY_INLINE void add_part_of_group(Rows<kRow...> rows, int64_t part,
                                                  const ops::InputGroup* x, int64_t x_stride,
                                                  const uint8_t* w, const float* scales,
                                                  const float* minima, float* sums) {
  constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(Tag()));
  constexpr int64_t kInputs = kGroupInputs / kParts;
  // In parts the offset of 8 bits, 128, meets them as 1, which the shift makes more of.
  constexpr int32_t kOffset = kBits == 4 ? 0 : kInParts ? 1 : 128;
  const ops::GroupSum sum = ops::group_sum(kParts, part);
  const auto stride = x_stride * static_cast<int64_t>(sizeof(ops::InputGroup));
  const int8_t* values = x->values + part * kInputs * (kInParts ? 1 : int64_t{sizeof(int16_t)});
  w += part * kInputs * kBits / 32 * ops::GroupLayout::kLineBytes;
  for (int64_t j = 0; j < kBlock; j += 2 * kLanes) {
    Sums low[] = {hn::Set(Tag(), -kOffset * x[kRow * x_stride].sums[sum])...};
    Sums high[] = {low[kRow]...};
    add_weights<kBits, kInputs>(rows, values, stride, reinterpret_cast<const int32_t*>(w) + j, low,
                                high);
    const float* low_minima = minima != nullptr ? minima + j : nullptr;
    const float* high_minima = minima != nullptr ? minima + j + kLanes : nullptr;
    (add_scaled(low[kRow], x[kRow * x_stride].scale, x[kRow * x_stride].scaled_sums[sum],
                scales + j, low_minima, sums + kRow * kBlock + j),
     ...);
    (add_scaled(high[kRow], x[kRow * x_stride].scale, x[kRow * x_stride].scaled_sums[sum],
                scales + j + kLanes, high_minima, sums + kRow * kBlock + j + kLanes),
     ...);
  }
}

#else

template <int64_t kBits, int64_t kParts, int... kRow>
void add_part_of_group(Rows<kRow...>, int64_t part, const ops::InputGroup* x, int64_t x_stride,
                       const uint8_t* w, const float* scales, const float* minima, float* sums) {
  constexpr ops::GroupLayout kLayout(GroupFormat{.bits = kBits});
  constexpr int64_t kInputs = kGroupInputs / kParts;
  const ops::GroupSum of = ops::group_sum(kParts, part);
  for (int64_t r = 0; r < static_cast<int64_t>(sizeof...(kRow)); ++r, x += x_stride) {
    for (int64_t j = 0; j < kBlock; ++j) {
      int32_t sum = -static_cast<int32_t>(kLayout.offset()) * x->sums[of];
      for (int64_t i = part * kInputs; i < (part + 1) * kInputs; ++i) {
        constexpr int64_t kPlace[] = {0, 2, 1, 3};
        int16_t value = 0;
        std::memcpy(&value, x->values + 2 * (i / 4 * 4 + kPlace[i % 4]), sizeof(value));
        sum += kLayout.stored(w, j, i) * value;
      }
      const float scale = scales[j] * x->scale;
      float total = sums[r * kBlock + j] + static_cast<float>(sum) * scale;
      if (minima != nullptr) total = total + minima[j] * x->scaled_sums[of];
      sums[r * kBlock + j] = total;
    }
  }
}

#endif

/// 32 numbers in f16, or bytes, as floats.
HWY_INLINE void halves_as_floats(const uint8_t* halves, float* to) {
  const hn::ScalableTag<float> real;
  const hn::Rebind<hwy::float16_t, decltype(real)> half;
  const auto* from = reinterpret_cast<const hwy::float16_t*>(halves);
  for (size_t j = 0; j < kBlock; j += hn::Lanes(real))
    hn::Store(hn::PromoteTo(real, hn::Load(half, from + j)), real, to + j);
}
template <class Byte>
HWY_INLINE void multiply_by_bytes(const uint8_t* bytes, const float* by, float* to) {
  const hn::ScalableTag<float> real;
  const hn::Rebind<Byte, decltype(real)> narrow;
  const hn::RebindToSigned<decltype(real)> whole;
  const auto* from = reinterpret_cast<const Byte*>(bytes);
  for (size_t j = 0; j < kBlock; j += hn::Lanes(real)) {
    const auto factor = hn::ConvertTo(real, hn::PromoteTo(whole, hn::Load(narrow, from + j)));
    hn::Store(hn::Mul(factor, hn::Load(real, by + j)), real, to + j);
  }
}
HWY_INLINE void multiply_all(const float* from, float factor, float* to) {
  const hn::ScalableTag<float> real;
  for (size_t j = 0; j < kBlock; j += hn::Lanes(real))
    hn::Store(hn::Mul(hn::Load(real, from + j), hn::Set(real, factor)), real, to + j);
}

HWY_INLINE void scales_of_group(const ops::GroupLayout& layout, const uint8_t* block,
                                const uint8_t* group, int64_t index, ops::GroupScales& to) {
  const GroupFormat& format = layout.format();
  const uint8_t* scales = group + layout.weight_bytes();
  const uint8_t* minima = scales + layout.scale_bytes();
  if (!format.factors) {
    halves_as_floats(scales, to.scales[0]);
    if (format.minimum) {
      halves_as_floats(minima, to.minima[0]);
    } else if (format.bits == 4) {
      multiply_all(to.scales[0], -static_cast<float>(format.offset), to.minima[0]);
    }
    return;
  }
  HWY_ALIGN float halves[kBlock];
  halves_as_floats(block + layout.super_at(index), halves);
  for (int64_t part = 0; part < format.parts; ++part)
    multiply_by_bytes<int8_t>(scales + part * kBlock, halves, to.scales[part]);
  if (!format.minimum) return;
  halves_as_floats(block + layout.super_at(index) + ops::GroupLayout::kHalvesBytes, halves);
  for (int64_t part = 0; part < format.parts; ++part)
    multiply_by_bytes<uint8_t>(minima + part * kBlock, halves, to.minima[part]);
}

using Task = ops::GroupedTask<ops::InputGroup>;

template <int64_t kBits, int64_t kParts>
struct Kernel {
  using Sum = float;
  static constexpr int64_t kStepInputs = 1;  // a group

  explicit Kernel(const Task& of)
      : task(of), x(of.x), rows(of.rows), x_stride(of.groups), steps(of.groups) {}

  [[nodiscard]] int64_t step_bytes() const { return task.layout.group_bytes(); }
  [[nodiscard]] const uint8_t* block(int64_t b) const {
    return task.w + b * task.layout.block_bytes(steps);
  }
  [[nodiscard]] const uint8_t* steps_of(int64_t b) const {
    return block(b) + task.layout.head_bytes(steps);
  }

  template <int... kRow>
  EVO_TARGET_VNNI void add(const Piece<ops::InputGroup, uint8_t>& piece, float* sums) const {
    const bool minima = has_minima(task.layout.format());
    const int64_t bytes = step_bytes();
    ops::GroupScales scales;
    for (int64_t s = 0; s < piece.steps; ++s) {
      fetch(piece, s);
      const uint8_t* group = piece.w + s * bytes;
      scales_of_group(task.layout, block(piece.block), group, piece.first + s, scales);
      for (int64_t part = 0; part < kParts; ++part) {
        add_part_of_group<kBits, kParts>(Rows<kRow...>(), part, piece.x + s, piece.x_stride, group,
                                         scales.scales[part],
                                         minima ? scales.minima[part] : nullptr, sums);
      }
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
      copy_block(sums, b, task.out, task.y + r * task.y_stride);
  }

  const Task& task;
  const ops::InputGroup* x;
  int64_t rows, x_stride, steps;
};

void blocks(const Task& task, int64_t begin, int64_t end) {
  const GroupFormat& format = task.layout.format();
  if (format.bits == 4) {
    multiply_blocks(Kernel<4, 1>(task), begin, end);
  } else if (format.parts == 1) {
    multiply_blocks(Kernel<8, 1>(task), begin, end);
  } else {
    multiply_blocks(Kernel<8, 2>(task), begin, end);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace evo::ops {

HWY_EXPORT(inputs);
HWY_EXPORT(in_parts);
HWY_EXPORT(blocks);
HWY_EXPORT(scales_of_group);

void grouped_inputs(const float* x, int64_t count, int64_t bits, InputGroup* to) {
  HWY_DYNAMIC_DISPATCH(inputs)(x, count, bits, to);
}

bool grouped_inputs_in_parts() {
  return HWY_DYNAMIC_DISPATCH(in_parts)();
}

void grouped_scales(const GroupLayout& layout, const uint8_t* block, const uint8_t* group,
                    int64_t index, GroupScales& to) {
  HWY_DYNAMIC_DISPATCH(scales_of_group)(layout, block, group, index, to);
}

void grouped_multiply(const GroupedTask<InputGroup>& task, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(blocks)(task, begin, end);
}

}  // namespace evo::ops
#endif
