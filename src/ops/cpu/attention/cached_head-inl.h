// Keys and values of one kv head in a block, as vectors of floats. Re-included per target.
//
// What comes out is what CachedToken::read() gives, bit for bit: attention over a cache is that
// over the rounded numbers.
#if defined(EVO_OPS_CACHED_HEAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVO_OPS_CACHED_HEAD_INL_H_
#undef EVO_OPS_CACHED_HEAD_INL_H_
#else
#define EVO_OPS_CACHED_HEAD_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ops/cached_keys.h"
#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {

HWY_INLINE FloatVec widened(const float* from) {
  return hn::LoadU(FloatTag(), from);
}

HWY_INLINE FloatVec widened(const uint16_t* from) {  // bf16
  const hn::RebindToUnsigned<FloatTag> bits;
  const hn::Rebind<uint16_t, FloatTag> half;
  return hn::BitCast(FloatTag(), hn::ShiftLeft<16>(hn::PromoteTo(bits, hn::LoadU(half, from))));
}

HWY_INLINE FloatVec widened(const int8_t* from) {
  const hn::RebindToSigned<FloatTag> whole;
  const hn::Rebind<int8_t, FloatTag> bytes;
  return hn::ConvertTo(FloatTag(), hn::PromoteTo(whole, hn::LoadU(bytes, from)));
}

template <class Key, class Value>
class CachedHead {
 public:
  CachedHead(const std::byte* head, int size)
      : keys_(reinterpret_cast<const Key*>(head)),
        values_(reinterpret_cast<const Value*>(keys_ + int64_t{ops::kCacheBlock} * size)),
        scales_(reinterpret_cast<const float*>(values_ + int64_t{ops::kCacheBlock} * size)),
        size_(size) {}

  /// Number i of the keys from `first` on, one a lane.
  HWY_INLINE FloatVec key(int i, int first) const {
    return widened(keys_ + i * ops::kCacheBlock + first);
  }
  /// The numbers of value k from `first` on.
  HWY_INLINE FloatVec value(int k, int first) const {
    const FloatVec numbers = widened(values_ + k * size_ + first);
    if constexpr (!std::is_same_v<Value, int8_t>) return numbers;
    return hn::Mul(numbers, hn::Set(FloatTag(), scales_[k]));
  }

 private:
  const Key* keys_;
  const Value* values_;
  const float* scales_;  // of q8
  int size_;
};

template <ops::CacheFormat kFormat>
struct CachedHeadOfFormat;
template <>
struct CachedHeadOfFormat<ops::CacheFormat::kF32> {
  using Type = CachedHead<float, float>;
};
template <>
struct CachedHeadOfFormat<ops::CacheFormat::kBF16> {
  using Type = CachedHead<uint16_t, uint16_t>;
};
template <>
struct CachedHeadOfFormat<ops::CacheFormat::kQ8> {
  using Type = CachedHead<uint16_t, int8_t>;
};

}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#endif  // include guard
