#include "ops/cpu/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/rows.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

void add_values(float* sum, const float* values, size_t n) {
  const FloatTag d;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    lanes.store(hn::Add(lanes.load(d, sum + i), lanes.load(d, values + i)), d, sum + i);
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace evo::ops {
HWY_EXPORT(add_values);

void add_to(float* sum, const float* values, int64_t n) {
  HWY_DYNAMIC_DISPATCH(add_values)(sum, values, static_cast<size_t>(n));
}

}  // namespace evo::ops
#endif  // HWY_ONCE
