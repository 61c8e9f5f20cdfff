#include "flow/bridge.h"

#include <cmath>

#include "base/error.h"

namespace evo::flow {
namespace {

bool is_level(double a) {
  return a >= 0 && a <= 1;
}

}  // namespace

BridgeCoefficients add_noise(double a) {
  EVO_CHECK(is_level(a));
  return {0, std::sqrt(a), std::sqrt(1 - a)};
}

// Write l for the noisy level a_from and h for the clean level a_to. The variance-preserving
// process noises z_h ~ N(sqrt(h) c, (1 - h) I) to
//     z_l = r z_h + sqrt(1 - r^2) e,   r = sqrt(l / h),
// whose law given c is N(sqrt(l) c, (r^2 (1 - h) + 1 - r^2) I) = N(sqrt(l) c, (1 - l) I): its
// marginals are the levels of the flow. Bayes' rule with that prior and likelihood gives
//     precision = 1 / (1 - h) + r^2 / (1 - r^2) = (1 - l) / ((1 - h) (1 - r^2)),
//     mean = variance * (sqrt(h) c / (1 - h) + r z_l / (1 - r^2))
//          = r (1 - h) / (1 - l) z_l + sqrt(h) (1 - r^2) / (1 - l) c.
// Averaged over z_l given c this is again N(sqrt(h) c, (1 - h) I), as for every exact posterior.
BridgeCoefficients bridge(double a_from, double a_to) {
  EVO_CHECK(is_level(a_from) && is_level(a_to) && a_to >= a_from);
  if (a_to == a_from) return {1, 0, 0};
  const double kept = a_from / a_to;            // r^2
  const double fresh = (a_to - a_from) / a_to;  // 1 - r^2
  return {std::sqrt(kept) * (1 - a_to) / (1 - a_from), std::sqrt(a_to) * fresh / (1 - a_from),
          std::sqrt((1 - a_to) * fresh / (1 - a_from))};
}

BridgeCoefficients renoise(double a_from, double a_to) {
  EVO_CHECK(is_level(a_from) && is_level(a_to) && a_to <= a_from);
  if (a_to == a_from) return {1, 0, 0};
  return {std::sqrt(a_to / a_from), 0, std::sqrt((a_from - a_to) / a_from)};
}

// With x constant the noise (z - sqrt(a) x) / sqrt(1 - a) is constant along the ODE; put it back
// together with the signal at the new level.
BridgeCoefficients ode_step(double a_from, double a_to) {
  EVO_CHECK(is_level(a_from) && is_level(a_to) && a_from < 1);
  const double from = std::sqrt((1 - a_to) / (1 - a_from));
  return {from, std::sqrt(a_to) - std::sqrt(a_from) * from, 0};
}

// Differentiate z = sqrt(a) x + sqrt(1 - a) e at fixed x and e = (z - sqrt(a) x) / sqrt(1 - a):
//     dz/dt = a' / (2 (1 - a)) (x / sqrt(a) - z),   a' = g' / (1 + g)^2,   1 - a = 1 / (1 + g).
Velocity velocity(double t, const EntropicTime& table) {
  EVO_CHECK(t >= table.min_time() && t < 1);
  const double rate = 0.5 * table.snr_slope(t) * table.noise(t);
  return {rate, -rate / std::sqrt(table.signal(t))};
}

void blend(const BridgeCoefficients& coefficients, std::span<const float> z,
           std::span<const float> code, std::span<const float> noise, std::span<float> out) {
  const bool uses_code = coefficients.to != 0;
  const bool uses_noise = coefficients.sd != 0;
  EVO_CHECK(z.size() == out.size());
  EVO_CHECK(!uses_code || code.size() == out.size());
  EVO_CHECK(!uses_noise || noise.size() == out.size());
  const auto from = static_cast<float>(coefficients.from);
  const auto to = static_cast<float>(coefficients.to);
  const auto sd = static_cast<float>(coefficients.sd);
  for (size_t i = 0; i < out.size(); ++i) {
    float value = from * z[i];
    if (uses_code) value += to * code[i];
    if (uses_noise) value += sd * noise[i];
    out[i] = value;
  }
}

}  // namespace evo::flow
