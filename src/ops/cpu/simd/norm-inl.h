// RMSNorm of one row: y = x * inverse_rms * weight * (1 + scale), and its gradients. `scale` is a
// row of zeros where there is none. Re-included per target.
#if defined(EVO_OPS_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVO_OPS_NORM_INL_H_
#undef EVO_OPS_NORM_INL_H_
#else
#define EVO_OPS_NORM_INL_H_
#endif

#include <hwy/highway.h>

#include <cmath>

#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {

/// Writes y [n]; returns inverse_rms = 1 / sqrt(mean(x^2) + eps).
HWY_INLINE float norm_row(const float* x, const float* weight, const float* scale, float eps,
                          size_t n, float* y) {
  const FloatTag d;
  const float squares = sum_over(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto v = lanes.load(d, x + i);
    return hn::Mul(v, v);
  });
  const float inverse_rms = 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto w = lanes.load(d, weight + i);
    const auto gain = hn::MulAdd(w, lanes.load(d, scale + i), w);
    const auto unit = hn::Mul(lanes.load(d, x + i), hn::Set(d, inverse_rms));
    lanes.store(hn::Mul(unit, gain), d, y + i);
  });
  return inverse_rms;
}

/// Gradient by x, with u = dy * weight * (1 + scale):
///   dx = inverse_rms * u - x * inverse_rms^3 * mean(u x), written if `fresh`, else added.
HWY_INLINE void norm_input_gradient(const float* x, const float* weight, const float* scale,
                                    float inverse_rms, const float* dy, size_t n, bool fresh,
                                    float* dx) {
  const FloatTag d;
  const auto weighted = [&](size_t i, auto lanes) HWY_ATTR {
    const auto w = lanes.load(d, weight + i);
    return hn::Mul(lanes.load(d, dy + i), hn::MulAdd(w, lanes.load(d, scale + i), w));
  };
  const float projection = sum_over(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    return hn::Mul(weighted(i, lanes), lanes.load(d, x + i));
  });
  const float along_x =
      inverse_rms * inverse_rms * inverse_rms * projection / static_cast<float>(n);
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto across = hn::Mul(weighted(i, lanes), hn::Set(d, inverse_rms));
    const auto change = hn::NegMulAdd(lanes.load(d, x + i), hn::Set(d, along_x), across);
    lanes.store(fresh ? change : hn::Add(lanes.load(d, dx + i), change), d, dx + i);
  });
}

/// Adds the gradient by a per-column factor whose co-factor is `other` (1 + other if `plus_one`):
/// out += dy * x * inverse_rms * other. Serves weight (other = scale, plus_one) and scale
/// (other = weight).
HWY_INLINE void norm_factor_gradient(const float* x, const float* other, bool plus_one,
                                     float inverse_rms, const float* dy, size_t n, float* out) {
  const FloatTag d;
  const float offset = plus_one ? 1.0f : 0.0f;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto factor = hn::Add(lanes.load(d, other + i), hn::Set(d, offset));
    const auto unit = hn::Mul(lanes.load(d, x + i), hn::Set(d, inverse_rms));
    const auto change = hn::Mul(hn::Mul(lanes.load(d, dy + i), unit), factor);
    lanes.store(hn::Add(lanes.load(d, out + i), change), d, out + i);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#endif  // include guard
