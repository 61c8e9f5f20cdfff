#include "ops/optimizer.h"

#include "ops/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/optimizer.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/simd/simd-inl.h"

// Once, although this file is included again for each target.
#ifndef EVO_OPS_OPTIMIZER_FACTORS
#define EVO_OPS_OPTIMIZER_FACTORS
namespace evo::ops {
namespace {

/// An AdamwStep with what does not change from element to element worked out.
struct AdamwFactors {
  float keep;  // 1 - learning rate * weight decay
  float rate;  // learning rate / (1 - beta1^step)
  float beta1, beta2, eps;
  float second_correction;  // 1 / (1 - beta2^step)
  float gradient_scale;
};

struct AdamwArrays {
  float* parameters;
  const float* gradients;
  float* first_moment;
  float* second_moment;
};

}  // namespace
}  // namespace evo::ops
#endif  // EVO_OPS_OPTIMIZER_FACTORS

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

void adamw_range(const AdamwArrays& arrays, const AdamwFactors& f, size_t begin, size_t end) {
  const FloatTag d;
  const float new_first = 1 - f.beta1;
  const float new_second = 1 - f.beta2;
  for_each_vector(d, end - begin, [&](size_t offset, auto lanes) HWY_ATTR {
    const size_t i = begin + offset;
    const auto g = hn::Mul(lanes.load(d, arrays.gradients + i), hn::Set(d, f.gradient_scale));
    const auto kept_m = hn::Mul(lanes.load(d, arrays.first_moment + i), hn::Set(d, f.beta1));
    const auto m = hn::MulAdd(g, hn::Set(d, new_first), kept_m);
    const auto kept_v = hn::Mul(lanes.load(d, arrays.second_moment + i), hn::Set(d, f.beta2));
    const auto v = hn::MulAdd(hn::Mul(g, g), hn::Set(d, new_second), kept_v);
    const auto root = hn::Sqrt(hn::Mul(v, hn::Set(d, f.second_correction)));
    const auto change = hn::Div(hn::Mul(m, hn::Set(d, f.rate)), hn::Add(root, hn::Set(d, f.eps)));
    const auto kept = hn::Mul(lanes.load(d, arrays.parameters + i), hn::Set(d, f.keep));
    lanes.store(hn::Sub(kept, change), d, arrays.parameters + i);
    lanes.store(m, d, arrays.first_moment + i);
    lanes.store(v, d, arrays.second_moment + i);
  });
}

double sum_squares_range(const float* values, size_t n) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> half;
  return sum_over(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto wide = hn::PromoteTo(d, lanes.load(half, values + i));
    return hn::Mul(wide, wide);
  });
}

void average_range(float* average, const float* value, float weight, size_t n) {
  const FloatTag d;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto old = lanes.load(d, average + i);
    const auto towards = hn::Sub(lanes.load(d, value + i), old);
    lanes.store(hn::MulAdd(towards, hn::Set(d, weight), old), d, average + i);
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/threads/parallel.h"

namespace evo::ops::cpu {
HWY_EXPORT(adamw_range);
HWY_EXPORT(sum_squares_range);
HWY_EXPORT(average_range);

namespace {

constexpr int64_t kGrain = 65536;  // elements that pay for a thread

AdamwFactors factors_of(const AdamwStep& step) {
  const auto steps = static_cast<double>(step.step);
  const double correction1 = 1 - std::pow(static_cast<double>(step.beta1), steps);
  const double correction2 = 1 - std::pow(static_cast<double>(step.beta2), steps);
  const double rate = step.learning_rate;
  return {.keep = static_cast<float>(1 - rate * static_cast<double>(step.weight_decay)),
          .rate = static_cast<float>(rate / correction1),
          .beta1 = step.beta1,
          .beta2 = step.beta2,
          .eps = step.eps,
          .second_correction = static_cast<float>(1 / correction2),
          .gradient_scale = step.gradient_scale};
}

}  // namespace

void adamw(std::span<float> parameters, std::span<const float> gradients,
           std::span<float> first_moment, std::span<float> second_moment, const AdamwStep& step) {
  const size_t n = parameters.size();
  EVO_CHECK(gradients.size() == n && first_moment.size() == n && second_moment.size() == n);
  EVO_CHECK(step.step >= 1);
  const AdamwFactors factors = factors_of(step);
  const AdamwArrays arrays{parameters.data(), gradients.data(), first_moment.data(),
                           second_moment.data()};
  parallel_for(std::ssize(parameters), kGrain, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(adamw_range)
    (arrays, factors, static_cast<size_t>(begin), static_cast<size_t>(end));
  });
}

double sum_of_squares(std::span<const float> values) {
  const int64_t count = std::ssize(values);
  const int64_t chunks = (count + kGrain - 1) / kGrain;
  std::vector<double> partials(static_cast<size_t>(chunks));
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * kGrain;
      const auto size = static_cast<size_t>(std::min(kGrain, count - first));
      partials[chunk] = HWY_DYNAMIC_DISPATCH(sum_squares_range)(values.data() + first, size);
    }
  });
  return std::accumulate(partials.begin(), partials.end(), 0.0);
}

void exponential_average(std::span<float> average, std::span<const float> value, float decay) {
  EVO_CHECK(average.size() == value.size());
  parallel_for(std::ssize(average), kGrain, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(average_range)
    (average.data() + begin, value.data() + begin, 1 - decay, static_cast<size_t>(end - begin));
  });
}

}  // namespace evo::ops::cpu
#endif  // HWY_ONCE
