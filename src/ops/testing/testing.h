// What the tests of ops share: every backend and SIMD target, comparisons that NaN fails, finite
// differences.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "base/random.h"
#include "ops/backend.h"

namespace evo::testing {

inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Runs fn once per SIMD target that this binary has and this CPU can run, forcing that target,
/// and checks that there is at least one.
template <class Fn>
void for_each_simd_target(const Fn& fn) {
  int count = 0;
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    fn();
    ++count;
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  EXPECT_GT(count, 0);
}

/// Chooses a backend while it lives.
class BackendInTest {
 public:
  explicit BackendInTest(std::string_view name) : before_(ops::backend().name) {
    ops::use_backend(name);
  }
  ~BackendInTest() { ops::use_backend(before_); }
  BackendInTest(const BackendInTest&) = delete;
  BackendInTest& operator=(const BackendInTest&) = delete;

 private:
  std::string_view before_;
};

/// Runs fn with each backend, the CPU's for every SIMD target.
template <class Fn>
void for_each_implementation(const Fn& fn) {
  for (const std::string& name : ops::backend_names()) {
    SCOPED_TRACE(name);
    const BackendInTest in_use(name);
    if (name == "cpu") {
      for_each_simd_target(fn);
    } else {
      fn();
    }
  }
}

inline std::vector<float> random_values(size_t count, uint64_t seed, float scale = 1.0f) {
  std::vector<float> values(count);
  Random random(seed, 77);
  for (float& value : values) value = scale * random.normal();
  return values;
}

/// |actual - expected| <= absolute + relative * |expected|, element by element; NaN fails.
template <class Actual, class Expected>
void expect_close(const Actual& actual, const Expected& expected, double absolute,
                  double relative) {
  ASSERT_EQ(std::size(actual), std::size(expected));
  size_t shown = 0;
  for (size_t i = 0; i < std::size(actual); ++i) {
    const double a = static_cast<double>(std::data(actual)[i]);
    const double e = static_cast<double>(std::data(expected)[i]);
    if (!(std::abs(a - e) <= absolute + relative * std::abs(e))) {
      ADD_FAILURE() << "element " << i << ": got " << a << ", expected " << e;
      if (++shown == 5) return;
    }
  }
}

/// d f / d x by central differences. `x` is restored.
inline double finite_difference(const std::function<double()>& f, double& x, double step = 1e-5) {
  const double kept = x;
  x = kept + step;
  const double above = f();
  x = kept - step;
  const double below = f();
  x = kept;
  return (above - below) / (2 * step);
}

}  // namespace evo::testing
