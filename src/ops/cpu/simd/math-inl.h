// exp, sigmoid and tanh of f32 vectors. Highway's own Exp is not used because it turns NaN into 0.
// NaN gives NaN. Errors are the largest seen over every f32 input, on targets with and without FMA;
// math_test.cc holds the functions to them. Re-included per target.
#if defined(EVO_OPS_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVO_OPS_MATH_INL_H_
#undef EVO_OPS_MATH_INL_H_
#else
#define EVO_OPS_MATH_INL_H_
#endif

#include <hwy/highway.h>

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// e^x, within 1.02 ULP; values below the smallest normal number become 0 (subnormal arithmetic is
/// a hundred times slower and no use of ours needs it), values that overflow become infinity.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Exp(D d, V x) {
  const V lowest = hn::Set(d, -87.3365402f);  // e^lowest is the smallest normal number
  const V highest = hn::Set(d, 88.7228317f);  // e^highest is just below the largest number

  // x = n ln 2 + r, |r| <= ln(2) / 2. Adding 1.5 * 2^23 rounds to an integer, which then stands in
  // the low bits of the sum. ln 2 is split in two so that n * high part is exact.
  const V round = hn::Set(d, 12582912.0f);
  const V clamped = hn::Min(hn::Max(x, lowest), highest);
  const V shifted = hn::MulAdd(clamped, hn::Set(d, 1.44269504f), round);
  const V n = hn::Sub(shifted, round);
  const V r = hn::NegMulAdd(n, hn::Set(d, 1.428606765e-6f),
                            hn::NegMulAdd(n, hn::Set(d, 0.693145752f), clamped));

  // e^r = 1 + r + r^2 p(r), p minimax in relative error (3.1e-9).
  V p = hn::Set(d, 0.00138206617f);
  p = hn::MulAdd(p, r, hn::Set(d, 0.00836867467f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.0416682661f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.166665211f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.49999994f));
  const V fraction = hn::Add(hn::Set(d, 1.0f), hn::MulAdd(hn::Mul(r, r), p, r));

  // Times 2^n by adding n to the exponent: e^r is below 1 when n = 128, so that nothing overflows.
  const hn::RebindToSigned<D> di;
  const V scaled = hn::BitCast(
      d, hn::Add(hn::BitCast(di, fraction), hn::ShiftLeft<23>(hn::BitCast(di, shifted))));

  const V infinity = hn::Set(d, std::numeric_limits<float>::infinity());
  const V high = hn::IfThenElse(hn::Gt(x, highest), infinity, scaled);
  const V result = hn::IfThenElse(hn::Lt(x, lowest), hn::Zero(d), high);
  return hn::IfThenElse(hn::IsNaN(x), x, result);
}

/// 1 / (1 + e^-x), within 2.5 ULP; below -88.7 it is 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, Exp(d, hn::Neg(x))));
}

/// tanh x, within 1.4 ULP.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Tanh(D d, V x) {
  // Near 0, where 1 - 2 / (e^2x + 1) would lose digits: x + x^3 p(x^2), with p from Cephes' tanhf.
  const V square = hn::Mul(x, x);
  V p = hn::Set(d, -5.70498872745e-3f);
  p = hn::MulAdd(p, square, hn::Set(d, 2.06390887954e-2f));
  p = hn::MulAdd(p, square, hn::Set(d, -5.37397155531e-2f));
  p = hn::MulAdd(p, square, hn::Set(d, 1.33314422036e-1f));
  p = hn::MulAdd(p, square, hn::Set(d, -3.33332819422e-1f));
  const V small = hn::MulAdd(hn::Mul(p, square), x, x);

  const V magnitude = hn::Abs(x);
  const V one = hn::Set(d, 1.0f);
  const V e = Exp(d, hn::Add(magnitude, magnitude));
  const V large = hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(e, one)));
  return hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, 0.625f)), small, hn::CopySign(large, x));
}

/// cap tanh(x / cap), within 2.9 ULP.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V SoftCap(D d, V x, V cap) {
  return hn::Mul(cap, Tanh(d, hn::Div(x, cap)));
}

}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#endif  // include guard
