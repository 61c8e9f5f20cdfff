// Numbers as whole ones, for kernels of bytes and words. Re-included per target.
#if defined(EVO_OPS_ROUNDING_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVO_OPS_ROUNDING_INL_H_
#undef EVO_OPS_ROUNDING_INL_H_
#else
#define EVO_OPS_ROUNDING_INL_H_
#endif

#include <hwy/highway.h>

#include <bit>
#include <cstdint>

#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {

/// max |x| as its bits, which order like the numbers, with infinity and then NaN above all others.
inline int32_t largest_bits(const float* x, int64_t count) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> bits;
  auto largest = hn::Zero(bits);
  for_each_vector(d, static_cast<size_t>(count), [&](size_t i, const auto& lanes) {
    largest = hn::Max(largest, hn::BitCast(bits, hn::Abs(lanes.load(d, x + i))));
  });
  return hn::GetLane(hn::MaxOfLanes(bits, largest));
}

/// to = round(x * factor) + shift for |x * factor| < 2^22. Adding 1.5 * 2^23 leaves the nearest
/// even whole number in the lowest bits, on every target.
template <class Output>
void round_all(const float* x, int64_t count, float factor, int32_t shift, Output* to) {
  constexpr float kMagic = 0x1.8p23f;
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> bits;
  const hn::Rebind<Output, FloatTag> narrow;
  const auto offset = hn::Set(bits, shift - std::bit_cast<int32_t>(kMagic));
  for_each_vector(d, static_cast<size_t>(count), [&](size_t i, const auto& lanes) {
    const auto scaled = hn::Mul(lanes.load(d, x + i), hn::Set(d, factor));
    const auto whole = hn::BitCast(bits, hn::Add(scaled, hn::Set(d, kMagic)));
    hn::StoreU(hn::DemoteTo(narrow, hn::Add(whole, offset)), narrow, to + i);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#endif  // include guard
