#include "ops/cpu/formats/grouped/grouped_kernel.h"

// The target whose CPUs have AVX512-VNNI; Highway leaves it out unless asked for it.
#define HWY_WANT_AVX3_DL

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/formats/grouped/grouped_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/formats/f32/row_product-inl.h"
#include "ops/cpu/simd/simd-inl.h"

#if HWY_TARGET == HWY_AVX3_DL
#include <immintrin.h>
#endif

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

constexpr int64_t kBlock = ops::kRowProductBlock;

/// max |x| as its bits, which order like the numbers, with infinity and then NaN above all others.
int32_t largest_bits(const float* x) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> bits;
  auto largest = hn::Zero(bits);
  for (size_t i = 0; i < ops::kGroupInputs; i += hn::Lanes(d))
    largest = hn::Max(largest, hn::BitCast(bits, hn::Abs(hn::LoadU(d, x + i))));
  return hn::GetLane(hn::MaxOfLanes(bits, largest));
}

void group(const float* x, ops::InputGroup& to) {
  constexpr auto kInfinity = std::bit_cast<int32_t>(std::numeric_limits<float>::infinity());
  constexpr float kNothing = 0x1p-100f;  // kLargestInput / largest must be finite
  // Adding 1.5 * 2^23 leaves the nearest even whole number in the lowest bits, on every target.
  constexpr float kMagic = 0x1.8p23f;
  const int32_t bits_of_largest = largest_bits(x);
  const auto largest = std::bit_cast<float>(bits_of_largest);
  if (bits_of_largest >= kInfinity || largest < kNothing) {
    to = {};
    if (bits_of_largest >= kInfinity) to.scale = std::numeric_limits<float>::quiet_NaN();
    return;
  }
  to.scale = largest / ops::kLargestInput;
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> whole;
  const hn::Rebind<int16_t, FloatTag> narrow;
  const auto factor = hn::Set(d, ops::kLargestInput / largest);
  const auto offset = hn::Set(whole, -std::bit_cast<int32_t>(kMagic));
  auto sum = hn::Zero(whole);
  HWY_ALIGN int16_t values[ops::kGroupInputs];
  for (size_t i = 0; i < ops::kGroupInputs; i += hn::Lanes(d)) {
    const auto scaled = hn::Mul(hn::LoadU(d, x + i), factor);
    const auto value = hn::Add(hn::BitCast(whole, hn::Add(scaled, hn::Set(d, kMagic))), offset);
    sum = hn::Add(sum, value);
    hn::StoreU(hn::DemoteTo(narrow, value), narrow, values + i);
  }
  to.sum = hn::GetLane(hn::SumOfLanes(whole, sum));
  for (int64_t i = 0; i < ops::kGroupInputs; i += 4) {
    to.values[i] = values[i];
    to.values[i + 1] = values[i + 2];
    to.values[i + 2] = values[i + 1];
    to.values[i + 3] = values[i + 3];
  }
}

void inputs(const float* x, int64_t count, ops::InputGroup* to) {
  const int64_t whole = count / ops::kGroupInputs;
  for (int64_t g = 0; g < whole; ++g) group(x + g * ops::kGroupInputs, to[g]);
  if (whole * ops::kGroupInputs == count) return;
  float rest[ops::kGroupInputs] = {};
  std::copy(x + whole * ops::kGroupInputs, x + count, rest);
  group(rest, to[whole]);
}

#undef EVO_TARGET_WORDS
#if HWY_TARGET == HWY_AVX3_DL
/// Highway's string for this target names another VNNI (of 256 bits).
#define EVO_TARGET_WORDS __attribute__((target(HWY_TARGET_STR ",avx512vnni")))
#else
#define EVO_TARGET_WORDS
#endif

#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || \
    HWY_TARGET == HWY_AVX3_DL

using Tag = hn::ScalableTag<int32_t>;
using Sums = hn::Vec<Tag>;

/// sums + the products of int16 pairs.
EVO_TARGET_WORDS HWY_INLINE Sums add_pairs(Sums sums, Sums x, Sums w) {
#if HWY_TARGET == HWY_AVX3_DL
  return Sums{_mm512_dpwssd_epi32(sums.raw, x.raw, w.raw)};
#else
  const hn::ScalableTag<int16_t> words;
  auto unused = hn::Zero(Tag());
  return hn::ReorderWidenMulAccumulate(Tag(), hn::BitCast(words, x), hn::BitCast(words, w), sums,
                                       unused);
#endif
}

/// Two of x's values, to meet two of an output's in every lane.
HWY_INLINE Sums broadcast(const int16_t* pair) {
  int32_t bits;
  std::memcpy(&bits, pair, sizeof(bits));
  return hn::Set(Tag(), bits);
}

/// The pairs of weights that stand `shift` bits from the right in both halves of a lane.
template <int64_t kBits, int kShift>
HWY_INLINE Sums pairs_at(Sums w) {
  const hn::ScalableTag<uint16_t> words;
  auto bits = hn::BitCast(words, w);
  if constexpr (kShift > 0) bits = hn::ShiftRight<kShift>(bits);
  if constexpr (kShift + kBits < 16) bits = hn::And(bits, hn::Set(words, (1 << kBits) - 1));
  return hn::BitCast(Tag(), bits);
}

/// Adds the pairs at `kShift` of lanes `w`; `x` are their partners in the first row's group.
template <int64_t kBits, int kShift, int... kRow>
EVO_TARGET_WORDS HWY_INLINE void add_shifted(Rows<kRow...>, Sums w, const int16_t* x,
                                             int64_t x_stride, Sums* sums) {
  const Sums pairs = pairs_at<kBits, kShift>(w);
  ((sums[kRow] = add_pairs(sums[kRow], broadcast(x + kRow * x_stride), pairs)), ...);
}

/// A lane of weights has four of 8 bits, or eight of 4: byte b has the b-th and the (b + 4)-th.
template <int64_t kBits, int... kRow>
EVO_TARGET_WORDS HWY_INLINE void add_lanes(Rows<kRow...> rows, Sums w, const int16_t* x,
                                           int64_t x_stride, Sums* sums) {
  if constexpr (kBits == 8) {
    add_shifted<8, 0>(rows, w, x, x_stride, sums);
    add_shifted<8, 8>(rows, w, x + 2, x_stride, sums);
  } else {
    add_shifted<4, 0>(rows, w, x, x_stride, sums);
    add_shifted<4, 4>(rows, w, x + 4, x_stride, sums);
    add_shifted<4, 8>(rows, w, x + 2, x_stride, sums);
    add_shifted<4, 12>(rows, w, x + 6, x_stride, sums);
  }
}

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
EVO_TARGET_WORDS HWY_INLINE void add_group(Rows<kRow...> rows, const ops::InputGroup* x,
                                           int64_t x_stride, const uint8_t* w, float* sums) {
  constexpr ops::GroupLayout kLayout = ops::group_layout(kBits);
  constexpr int64_t kLaneInputs = 32 / kBits;
  const Tag d;
  constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(Tag()));
  constexpr int64_t kLineBytes = kBlock * 4;
  constexpr int64_t kGroupValues = sizeof(ops::InputGroup) / sizeof(int16_t);
  const auto* halves = reinterpret_cast<const hwy::float16_t*>(w + kLayout.weight_bytes());
  for (int64_t j = 0; j < kBlock; j += 2 * kLanes) {
    Sums low[] = {hn::Set(d, -static_cast<int32_t>(kLayout.offset) * x[kRow * x_stride].sum)...};
    Sums high[] = {low[kRow]...};
    for (int64_t i = 0; i < ops::kGroupInputs / kLaneInputs; ++i) {
      const auto* line = reinterpret_cast<const int32_t*>(w + i * kLineBytes) + j;
      const int16_t* values = x->values + i * kLaneInputs;
      add_lanes<kBits>(rows, hn::Load(d, line), values, x_stride * kGroupValues, low);
      add_lanes<kBits>(rows, hn::Load(d, line + kLanes), values, x_stride * kGroupValues, high);
    }
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
        sum += kLayout.stored(w, j, i) * x->values[i / 4 * 4 + kPlace[i % 4]];
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
      : task(of), x(of.x), rows(of.rows), x_stride(of.stride), w(of.w), steps(of.groups) {}

  template <int... kRow>
  EVO_TARGET_WORDS static void add(const Piece<ops::InputGroup, uint8_t>& piece, float* sums) {
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
HWY_EXPORT(blocks_8);
HWY_EXPORT(blocks_4);

void grouped_inputs(const float* x, int64_t count, InputGroup* to) {
  HWY_DYNAMIC_DISPATCH(inputs)(x, count, to);
}

void grouped_multiply_8(const GroupedTask& task, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(blocks_8)(task, begin, end);
}

void grouped_multiply_4(const GroupedTask& task, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(blocks_4)(task, begin, end);
}

}  // namespace evo::ops
#endif
