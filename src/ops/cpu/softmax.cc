#include "ops/softmax.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/softmax.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/simd/math-inl.h"
#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

/// Pads the end of a row with numbers whose exponential is 0 beside any logit, and yet finite, so
/// that 0 times them is 0.
constexpr float kNegligible = -1e30f;

template <class Lanes>
HWY_INLINE FloatVec load_logits(Lanes lanes, const float* from) {
  return lanes.load(FloatTag(), from);
}

HWY_INLINE FloatVec load_logits(PartVector lanes, const float* from) {
  const FloatTag d;
  const auto inside = hn::FirstN(d, lanes.count);
  return hn::IfThenElse(inside, lanes.load(d, from), hn::Set(d, kNegligible));
}

float largest(const float* logits, size_t n) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  auto max0 = hn::Set(d, logits[0]);
  auto max1 = max0, max2 = max0, max3 = max0;  // four chains hide the latency
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    max0 = hn::Max(max0, hn::LoadU(d, logits + i));
    max1 = hn::Max(max1, hn::LoadU(d, logits + i + lanes));
    max2 = hn::Max(max2, hn::LoadU(d, logits + i + 2 * lanes));
    max3 = hn::Max(max3, hn::LoadU(d, logits + i + 3 * lanes));
  }
  for (; i + lanes <= n; i += lanes) max0 = hn::Max(max0, hn::LoadU(d, logits + i));
  float max = hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(max0, max1), hn::Max(max2, max3))));
  for (; i < n; ++i) max = std::max(max, logits[i]);
  return max;
}

/// Lowest index of `value`; 0 if it is not there (a row with NaN).
int32_t index_of(const float* logits, size_t n, float value) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  const auto wanted = hn::Set(d, value);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto equal = hn::Eq(hn::LoadU(d, logits + i), wanted);
    const intptr_t first = hn::FindFirstTrue(d, equal);
    if (first >= 0) return static_cast<int32_t>(i) + static_cast<int32_t>(first);
  }
  for (; i < n; ++i) {
    if (logits[i] == value) return static_cast<int32_t>(i);
  }
  return 0;
}

int64_t index_of_largest(const float* logits, size_t n) {
  const FloatTag d;
  bool nan = false;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto values = lanes.load(d, logits + i);
    nan |= !hn::AllTrue(d, hn::Eq(values, values));
  });
  return nan ? -1 : index_of(logits, n, largest(logits, n));
}

SoftmaxRow softmax(float* logits, size_t n) {
  const FloatTag d;
  // f32 sums of short stretches, added up in double: a long row loses no digits.
  constexpr size_t kStretch = 1024;
  SoftmaxRow row;
  row.max = largest(logits, n);
  row.argmax = index_of(logits, n, row.max);
  const auto max = hn::Set(d, row.max);
  for (size_t begin = 0; begin < n; begin += kStretch) {
    auto sum = hn::Zero(d), weighted = hn::Zero(d);
    float* stretch = logits + begin;
    for_each_vector(d, std::min(kStretch, n - begin), [&](size_t i, auto lanes) HWY_ATTR {
      const auto below = hn::Sub(load_logits(lanes, stretch + i), max);
      const auto e = Exp(d, below);
      sum = hn::Add(sum, e);
      weighted = hn::MulAdd(e, below, weighted);
      lanes.store(e, d, stretch + i);
    });
    row.sum += hn::GetLane(hn::SumOfLanes(d, sum));
    row.weighted += hn::GetLane(hn::SumOfLanes(d, weighted));
  }
  if (std::isnan(row.sum)) row.argmax = 0;
  return row;
}

void bend(float* logits, size_t n, float cap, float* slopes) {
  const FloatTag d;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto capped = SoftCap(d, lanes.load(d, logits + i), hn::Set(d, cap));
    lanes.store(capped, d, logits + i);
    if (slopes == nullptr) return;
    const auto part = hn::Div(capped, hn::Set(d, cap));
    lanes.store(hn::NegMulAdd(part, part, hn::Set(d, 1.0f)), d, slopes + i);
  });
}

void scale(float* x, size_t n, float factor) {
  const FloatTag d;
  const auto f = hn::Set(d, factor);
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    lanes.store(hn::Mul(lanes.load(d, x + i), f), d, x + i);
  });
}

void softmax_gradient(const float* exponentials, float factor, float mean, float* x, size_t n) {
  const FloatTag d;
  const auto f = hn::Set(d, factor), m = hn::Set(d, mean);
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto p = hn::Mul(lanes.load(d, exponentials + i), f);
    lanes.store(hn::Mul(p, hn::Sub(lanes.load(d, x + i), m)), d, x + i);
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace evo::ops {

HWY_EXPORT(index_of_largest);
HWY_EXPORT(softmax);
HWY_EXPORT(bend);
HWY_EXPORT(scale);
HWY_EXPORT(softmax_gradient);

double SoftmaxRow::entropy() const {
  return std::log(sum) - weighted / sum;
}

int64_t largest_logit(const float* logits, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(index_of_largest)(logits, static_cast<size_t>(n));
}

SoftmaxRow softmax_row(float* logits, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(softmax)(logits, static_cast<size_t>(n));
}

void cap_row(float* logits, int64_t n, float cap, float* slopes) {
  HWY_DYNAMIC_DISPATCH(bend)(logits, static_cast<size_t>(n), cap, slopes);
}

void scale_row(float* x, int64_t n, float factor) {
  HWY_DYNAMIC_DISPATCH(scale)(x, static_cast<size_t>(n), factor);
}

void softmax_gradient_row(const float* exponentials, float factor, float mean, float* x,
                          int64_t n) {
  HWY_DYNAMIC_DISPATCH(softmax_gradient)(exponentials, factor, mean, x, static_cast<size_t>(n));
}

}  // namespace evo::ops
#endif
