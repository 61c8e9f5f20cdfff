#include "ops/weight_group.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/float_formats.h"

namespace evo::ops {
namespace {

constexpr float kMostNibble = 15;

/// To nearest even, of less than 2^22; compilers make vectors of it.
float whole(float value) {
  constexpr float kMagic = 0x1.8p23f;
  return value + kMagic - kMagic;
}

uint16_t half(float value, float weight, int64_t bits) {
  const uint16_t rounded = to_f16(value);
  if (std::isfinite(from_f16(rounded))) return rounded;
  fail("a weight of {:g} is too large for {} bits in groups: use bf16", weight, bits);
}

WeightGroup byte_group(const float* weights) {
  constexpr float kMost = 127;
  float largest = 0;
  for (int64_t i = 0; i < kGroupInputs; ++i) largest = std::max(largest, std::abs(weights[i]));
  WeightGroup group;
  group.scale = half(largest / kMost, largest, 8);
  const float step = from_f16(group.scale), factor = step != 0 ? 1 / step : 0;
  for (int64_t i = 0; i < kGroupInputs; ++i)
    group.values[i] = static_cast<int8_t>(whole(std::clamp(weights[i] * factor, -kMost, kMost)));
  return group;
}

/// A line q -> minimum + scale q through weights.
struct Line {
  float scale = 0, minimum = 0;

  [[nodiscard]] float nearest(float weight) const {
    const float factor = scale != 0 ? 1 / scale : 0;
    return whole(std::clamp((weight - minimum) * factor, 0.0f, kMostNibble));
  }
  [[nodiscard]] float error(const float* weights) const {
    float error = 0;
    for (int64_t i = 0; i < kGroupInputs; ++i) {
      const float off = weights[i] - (minimum + scale * nearest(weights[i]));
      error += off * off;
    }
    return error;
  }
  /// The line of the least squared error for the numbers that this one gives the weights.
  [[nodiscard]] Line fitted(const float* weights) const {
    float q = 0, qq = 0, w = 0, wq = 0;
    for (int64_t i = 0; i < kGroupInputs; ++i) {
      const float value = nearest(weights[i]);
      q += value;
      qq += value * value;
      w += weights[i];
      wq += weights[i] * value;
    }
    constexpr float n = kGroupInputs;
    const float spread = n * qq - q * q;
    if (spread <= 0) return *this;
    const float slope = (n * wq - q * w) / spread;
    return {slope, (w - slope * q) / n};
  }
};

WeightGroup nibble_group(const float* weights) {
  const auto [least, most] = std::minmax_element(weights, weights + kGroupInputs);
  const float largest = std::max(std::abs(*least), std::abs(*most));
  const auto stored = [&](const Line& line) {
    return Line{from_f16(half(line.scale, largest, 4)), from_f16(half(line.minimum, largest, 4))};
  };
  // From numbers that all fit to such as leave out the ends.
  constexpr int kLines = 8;
  constexpr float kLeftOut = 3;
  Line best;
  float least_error = std::numeric_limits<float>::infinity();
  for (int i = 0; i <= kLines; ++i) {
    const float steps = kMostNibble + kLeftOut * static_cast<float>(i) / kLines;
    const Line fitting{(*most - *least) / steps, *least};
    for (const Line& line : {stored(fitting), stored(fitting.fitted(weights))}) {
      const float error = line.error(weights);
      if (error >= least_error) continue;
      least_error = error;
      best = line;
    }
  }
  WeightGroup group;
  group.scale = to_f16(best.scale);
  group.minimum = to_f16(best.minimum);
  for (int64_t i = 0; i < kGroupInputs; ++i)
    group.values[i] = static_cast<int8_t>(best.nearest(weights[i]));
  return group;
}

}  // namespace

WeightGroup weight_group(const float* weights, int64_t bits) {
  EVO_CHECK(bits == 8 || bits == 4);
  return bits == 8 ? byte_group(weights) : nibble_group(weights);
}

}  // namespace evo::ops
