#include "ops/weight_group.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/float_formats.h"

namespace evo::ops {
namespace {

/// Of four bits the end that reaches further goes to the largest number.
struct Range {
  float least, most, largest;
};
constexpr Range kBytes = {-127, 127, 127}, kNibbles = {-8, 7, -8};

/// Sets `to`; returns the square of how far off that is.
float quantize(const float* x, uint16_t scale, const Range& range, WeightGroup& to) {
  constexpr float kMagic = 0x1.8p23f;  // rounds to nearest even, and compilers make vectors of it
  const float step = from_f16(scale), factor = step != 0 ? 1 / step : 0;
  float error = 0;
  for (int64_t i = 0; i < kGroupInputs; ++i) {
    const float limited = std::clamp(x[i] * factor, range.least, range.most);
    const float value = limited + kMagic - kMagic;
    to.values[i] = static_cast<int8_t>(value);
    const float off = x[i] - value * step;
    error += off * off;
  }
  to.scale = scale;
  return error;
}

}  // namespace

WeightGroup weight_group(const float* weights, int64_t bits) {
  EVO_CHECK(bits == 8 || bits == 4);
  const float largest = *std::max_element(
      weights, weights + kGroupInputs, [](float a, float b) { return std::abs(a) < std::abs(b); });
  const Range& range = bits == 8 ? kBytes : kNibbles;
  const float fitting = largest / range.largest;
  if (!std::isfinite(from_f16(to_f16(fitting)))) {
    fail("a weight of {:g} is too large for {} bits in groups: use bf16", largest, bits);
  }
  WeightGroup best;
  float least_error = quantize(weights, to_f16(fitting), range, best);
  // Of 8 bits others would take off a fifth of what is lost, and a second at every start.
  if (bits == 8) return best;
  constexpr int kScales = 8;
  constexpr float kReach = 0.25f;
  for (int i = -kScales; i <= kScales; ++i) {
    WeightGroup other;
    const float scale = fitting * (1 + kReach * static_cast<float>(i) / kScales);
    const float error = quantize(weights, to_f16(scale), range, other);
    if (error >= least_error) continue;
    least_error = error;
    best = other;
  }
  return best;
}

}  // namespace evo::ops
