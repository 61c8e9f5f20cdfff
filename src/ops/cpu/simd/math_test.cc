#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/math_test.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/simd/math-inl.h"
#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

void exp_all(const float* x, float* y, size_t n) {
  const FloatTag d;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    lanes.store(Exp(d, lanes.load(d, x + i)), d, y + i);
  });
}

void sigmoid_all(const float* x, float* y, size_t n) {
  const FloatTag d;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    lanes.store(Sigmoid(d, lanes.load(d, x + i)), d, y + i);
  });
}

void tanh_all(const float* x, float* y, size_t n) {
  const FloatTag d;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    lanes.store(Tanh(d, lanes.load(d, x + i)), d, y + i);
  });
}

float sum_all(const float* x, size_t n) {
  const FloatTag d;
  return sum_over(d, n, [&](size_t i, auto lanes) HWY_ATTR { return lanes.load(d, x + i); });
}

int64_t this_target() {
  return HWY_TARGET;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <bit>
#include <limits>

#include "ops/testing/testing.h"

namespace evo::ops {
HWY_EXPORT(exp_all);
HWY_EXPORT(sigmoid_all);
HWY_EXPORT(tanh_all);
HWY_EXPORT(sum_all);
HWY_EXPORT(this_target);

namespace {

using testing::for_each_simd_target;
using testing::kInfinity;
using testing::kNaN;

constexpr double kSmallestNormal = 0x1p-126;

using Kernel = void (*)(const float*, float*, size_t);

std::vector<float> apply(Kernel kernel, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  kernel(x.data(), y.data(), x.size());
  return y;
}

/// Every `stride`-th bit pattern, so that all exponents and both signs occur.
std::vector<float> sampled_floats(uint32_t stride) {
  std::vector<float> values;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += stride) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (!std::isnan(value)) values.push_back(value);
  }
  return values;
}

/// Distance from the exact value in units of the last place of a float of its size; infinite for
/// NaN.
double ulp_error(float actual, double exact) {
  if (std::isnan(actual)) return kInfinity;
  if (std::abs(exact) > std::numeric_limits<float>::max()) {
    return actual == (exact > 0 ? kInfinity : -kInfinity) ? 0 : kInfinity;
  }
  const int exponent = std::ilogb(std::max(std::abs(exact), kSmallestNormal));
  return std::abs(static_cast<double>(actual) - exact) / std::ldexp(1.0, exponent - 23);
}

template <class Exact>
void expect_ulp(Kernel kernel, const Exact& exact, double bound) {
  // An odd stride: powers of two would sample the same low bits of every mantissa.
  const std::vector<float> x = sampled_floats(10007);
  const std::vector<float> y = apply(kernel, x);
  double worst = 0;
  float worst_x = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = exact(static_cast<double>(x[i]));
    if (std::abs(expected) < kSmallestNormal && y[i] == 0) continue;  // flushed, as promised
    const double error = ulp_error(y[i], expected);
    if (error > worst) worst = error, worst_x = x[i];
  }
  ::testing::Test::RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LE(worst, bound) << "at x = " << worst_x;
}

void expect_values(Kernel kernel, const std::vector<float>& x, const std::vector<float>& expected) {
  const std::vector<float> y = apply(kernel, x);
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(y[i])) << "x = " << x[i] << ", got " << y[i];
    } else {
      EXPECT_EQ(y[i], expected[i]) << "x = " << x[i];
    }
  }
}

TEST(SimdTargets, ForcingATargetSelectsItsCode) {
  int64_t seen = 0;
  for_each_simd_target([&] {
    const int64_t target = HWY_DYNAMIC_DISPATCH(this_target)();
    EXPECT_EQ(seen & target, 0) << "target used twice: " << hwy::TargetName(target);
    EXPECT_EQ(hwy::SupportedTargets() & target, target) << hwy::TargetName(target);
    seen |= target;
  });
  const int64_t restored = HWY_DYNAMIC_DISPATCH(this_target)();
  EXPECT_EQ(restored, seen & -seen) << "the lowest bit is the best target";
}

TEST(SimdLoops, SumSeesEveryElementOnceAndNothingElse) {
  for_each_simd_target([] {
    for (size_t n = 0; n < 150; ++n) {
      std::vector<float> x(n + 1, 1.0f);
      x[n] = 1e6f;  // beyond the end
      EXPECT_EQ(HWY_DYNAMIC_DISPATCH(sum_all)(x.data(), n), static_cast<float>(n));
    }
  });
}

TEST(SimdMath, ExpIsWithinItsBound) {
  for_each_simd_target([] {
    expect_ulp(
        HWY_DYNAMIC_DISPATCH(exp_all), [](double x) { return std::exp(x); }, 1.02);
  });
}

TEST(SimdMath, ExpAtTheEdges) {
  for_each_simd_target([] {
    expect_values(HWY_DYNAMIC_DISPATCH(exp_all),
                  {0.0f, -0.0f, -kInfinity, kInfinity, kNaN, -kNaN, -100.0f, -1e30f, 1e30f, 88.73f},
                  {1.0f, 1.0f, 0.0f, kInfinity, kNaN, kNaN, 0.0f, 0.0f, kInfinity, kInfinity});
  });
}

TEST(SimdMath, SigmoidIsWithinItsBound) {
  const auto exact = [](double x) { return 1 / (1 + std::exp(-x)); };
  for_each_simd_target([&] { expect_ulp(HWY_DYNAMIC_DISPATCH(sigmoid_all), exact, 2.5); });
}

TEST(SimdMath, SigmoidAtTheEdges) {
  for_each_simd_target([] {
    expect_values(HWY_DYNAMIC_DISPATCH(sigmoid_all),
                  {0.0f, -kInfinity, kInfinity, kNaN, -1e30f, 1e30f},
                  {0.5f, 0.0f, 1.0f, kNaN, 0.0f, 1.0f});
  });
}

TEST(SimdMath, TanhIsWithinItsBound) {
  for_each_simd_target([] {
    expect_ulp(
        HWY_DYNAMIC_DISPATCH(tanh_all), [](double x) { return std::tanh(x); }, 1.4);
  });
}

TEST(SimdMath, TanhAtTheEdges) {
  for_each_simd_target([] {
    expect_values(HWY_DYNAMIC_DISPATCH(tanh_all),
                  {0.0f, -kInfinity, kInfinity, kNaN, -50.0f, 50.0f, 1e-30f},
                  {0.0f, -1.0f, 1.0f, kNaN, -1.0f, 1.0f, 1e-30f});
  });
}

}  // namespace
}  // namespace evo::ops
#endif  // HWY_ONCE
