#include "ops/cpu/formats/bf16/bf16.h"

#include "base/float_formats.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/formats/bf16/bf16.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;
using Bits = hn::RebindToUnsigned<Tag>;

/// The bf16 in the upper half of each lane, the lower half undefined. See to_bf16.
HWY_INLINE hn::Vec<Bits> rounded_bits(const float* from) {
  const Bits bits;
  const auto x = hn::BitCast(bits, hn::LoadU(Tag(), from));
  const auto odd = hn::And(hn::ShiftRight<16>(x), hn::Set(bits, 1));
  const auto rounded = hn::Add(hn::Add(x, hn::Set(bits, 0x7FFF)), odd);
  const auto quiet = hn::Or(x, hn::Set(bits, 0x400000));
  const auto is_nan = hn::Gt(hn::And(x, hn::Set(bits, 0x7FFFFFFF)), hn::Set(bits, 0x7F800000));
  return hn::IfThenElse(is_nan, quiet, rounded);
}

void convert_row(const float* from, size_t count, uint16_t* to) {
  const Bits bits;
  const hn::Rebind<uint16_t, Tag> halves;
  const size_t lanes = hn::Lanes(bits);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto upper = hn::ShiftRight<16>(rounded_bits(from + i));
    hn::StoreU(hn::DemoteTo(halves, hn::BitCast(hn::RebindToSigned<Tag>(), upper)), halves, to + i);
  }
  for (; i < count; ++i) to[i] = to_bf16(from[i]);
}

void round_row(const float* from, size_t count, float* to) {
  const Tag d;
  const Bits bits;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto kept = hn::And(rounded_bits(from + i), hn::Set(bits, 0xFFFF0000u));
    hn::StoreU(hn::BitCast(d, kept), d, to + i);
  }
  for (; i < count; ++i) to[i] = from_bf16(to_bf16(from[i]));
}

void widen_row(const uint16_t* from, size_t count, float* to) {
  const Tag d;
  const Bits bits;
  const hn::Rebind<uint16_t, Tag> halves;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto upper = hn::ShiftLeft<16>(hn::PromoteTo(bits, hn::LoadU(halves, from + i)));
    hn::StoreU(hn::BitCast(d, upper), d, to + i);
  }
  for (; i < count; ++i) to[i] = from_bf16(from[i]);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace evo::ops {

HWY_EXPORT(convert_row);
HWY_EXPORT(round_row);
HWY_EXPORT(widen_row);

void convert_to_bf16(const float* from, int64_t count, uint16_t* to) {
  HWY_DYNAMIC_DISPATCH(convert_row)(from, static_cast<size_t>(count), to);
}

void round_to_bf16(const float* from, int64_t count, float* to) {
  HWY_DYNAMIC_DISPATCH(round_row)(from, static_cast<size_t>(count), to);
}

void widen_bf16(const uint16_t* from, int64_t count, float* to) {
  HWY_DYNAMIC_DISPATCH(widen_row)(from, static_cast<size_t>(count), to);
}

}  // namespace evo::ops
#endif
