#include "base/weight_group.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/float_formats.h"

namespace evo {
namespace {

constexpr float kMostNibble = 15;

uint16_t half(float value, float weight, int64_t bits) {
  const uint16_t rounded = to_f16(value);
  if (std::isfinite(from_f16(rounded))) return rounded;
  fail("a weight of {:g} is too large for {} bits in groups: use bf16", weight, bits);
}

float largest_of(const float* weights, int64_t count) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(weights[i]));
  return largest;
}

WeightGroup byte_group(const float* weights) {
  constexpr float kMost = 127;
  const float largest = largest_of(weights, kGroupInputs);
  WeightGroup group;
  group.scale = half(largest / kMost, largest, 8);
  const float step = from_f16(group.scale), factor = step != 0 ? 1 / step : 0;
  for (int64_t i = 0; i < kGroupInputs; ++i)
    group.values[i] =
        static_cast<int8_t>(nearest_whole(std::clamp(weights[i] * factor, -kMost, kMost)));
  return group;
}

/// A line q -> minimum + scale q through weights.
struct Line {
  float scale = 0, minimum = 0;

  [[nodiscard]] float nearest(float weight) const {
    const float factor = scale != 0 ? 1 / scale : 0;
    return nearest_whole(std::clamp((weight - minimum) * factor, 0.0f, kMostNibble));
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

/// The line of the least squared error, as `stored` keeps it, among some that nearly fit.
template <class Stored>
Line best_line(const float* weights, const Stored& stored) {
  const auto [least, most] = std::minmax_element(weights, weights + kGroupInputs);
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
  return best;
}

void set_values(const Line& line, const float* weights, WeightGroup& group) {
  for (int64_t i = 0; i < kGroupInputs; ++i)
    group.values[i] = static_cast<int8_t>(line.nearest(weights[i]));
}

WeightGroup nibble_group(const float* weights) {
  const float largest = largest_of(weights, kGroupInputs);
  const Line best = best_line(weights, [&](const Line& line) {
    return Line{from_f16(half(line.scale, largest, 4)), from_f16(half(line.minimum, largest, 4))};
  });
  WeightGroup group;
  group.scale = to_f16(best.scale);
  group.minimum = to_f16(best.minimum);
  set_values(best, weights, group);
  return group;
}

constexpr int kMostFactor = 63;  // 6 bits

int nearest_factor(float value, float unit) {
  if (unit == 0) return 0;
  return static_cast<int>(nearest_whole(std::clamp<float>(value / unit, 0, kMostFactor)));
}

/// Factors of `group`, whose f16 numbers are set, of the least squared error about those of `line`.
void set_factors(const Line& line, const float* weights, WeightGroup& group) {
  const float scale = from_f16(group.scale), minimum = from_f16(group.minimum);
  const int nearest = nearest_factor(line.scale, scale);
  const int nearest_minimum = nearest_factor(line.minimum, minimum);
  float least_error = std::numeric_limits<float>::infinity();
  for (int s = std::max(0, nearest - 1); s <= std::min(kMostFactor, nearest + 1); ++s) {
    for (int m = std::max(0, nearest_minimum - 1); m <= std::min(kMostFactor, nearest_minimum + 1);
         ++m) {
      const Line tried{scale * static_cast<float>(s), minimum * static_cast<float>(m)};
      const float error = tried.error(weights);
      if (error >= least_error) continue;
      least_error = error;
      group.scale_factors.fill(static_cast<int8_t>(s));
      group.minimum_factors.fill(static_cast<uint8_t>(m));
    }
  }
  set_values({group.scale_of(0), group.minimum_of(0)}, weights, group);
}

}  // namespace

WeightGroup weight_group(const float* weights, int64_t bits) {
  EVO_CHECK(bits == 8 || bits == 4);
  return bits == 8 ? byte_group(weights) : nibble_group(weights);
}

std::array<WeightGroup, kSuperGroups> super_group(const float* weights) {
  // A minimum is taken away: none is above 0.
  const auto stored = [](const Line& line) {
    return Line{line.scale, std::min(line.minimum, 0.0f)};
  };
  std::array<Line, kSuperGroups> lines;
  float scale = 0, minimum = 0;
  for (int64_t g = 0; g < kSuperGroups; ++g) {
    lines[g] = best_line(weights + g * kGroupInputs, stored);
    scale = std::max(scale, lines[g].scale);
    minimum = std::min(minimum, lines[g].minimum);
  }
  const float largest = largest_of(weights, kSuperGroups * kGroupInputs);
  std::array<WeightGroup, kSuperGroups> groups;
  groups.fill({.scale = half(scale / kMostFactor, largest, 4),
               .minimum = half(minimum / kMostFactor, largest, 4)});
  for (int64_t g = 0; g < kSuperGroups; ++g)
    set_factors(lines[g], weights + g * kGroupInputs, groups[g]);
  return groups;
}

}  // namespace evo
