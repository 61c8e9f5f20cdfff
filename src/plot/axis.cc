#include "plot/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace evo::plot {
namespace {

/// Largest of 1, 2, 5 times a power of ten that gives at least about four intervals.
double nice_step(double range) {
  const double rough = range / 4;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  if (rough >= 5 * power) return 5 * power;
  return rough >= 2 * power ? 2 * power : power;
}

std::string tick_label(double value, double step) {
  const int decimals = std::max(0, static_cast<int>(std::ceil(-std::log10(step) - 1e-9)));
  if (decimals > 6 || std::abs(value) >= 1e7) return fmt::format("{:.6g}", value);
  return fmt::format("{:.{}f}", value, decimals);
}

std::vector<Tick> linear_ticks(double low, double high) {
  const double step = nice_step(high - low);
  std::vector<Tick> ticks;
  const auto first = static_cast<int64_t>(std::ceil(low / step - 1e-9));
  const auto last = static_cast<int64_t>(std::floor(high / step + 1e-9));
  for (int64_t i = first; i <= last; ++i) {
    const double value = static_cast<double>(i) * step;
    ticks.push_back({value, tick_label(value, step)});
  }
  return ticks;
}

/// Powers of ten; with 2 and 5 times them where those would be few.
std::vector<Tick> log_ticks(double low, double high) {
  const bool few = high - low < 3;
  const int stride = std::max(1, static_cast<int>((high - low) / 8));
  std::vector<Tick> ticks;
  for (int power = static_cast<int>(std::floor(low)); power <= high; power += stride) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double position = power + std::log10(factor);
      if ((factor > 1 && !few) || position < low - 1e-9 || position > high + 1e-9) continue;
      ticks.push_back({position, fmt::format("{:g}", factor * std::pow(10.0, power))});
    }
  }
  return ticks;
}

}  // namespace

Axis make_axis(double low, double high, bool logarithmic, double margin) {
  const double magnitude = std::max(std::abs(low), std::abs(high));
  const double least = logarithmic ? 0.5 : std::max(1e-6 * magnitude, 1e-300);
  if (!(high - low >= least)) {
    const double pad = logarithmic ? 0.5 : (magnitude > 0 ? 0.05 * magnitude : 0.5);
    low -= pad;
    high += pad;
  }
  const double extra = margin * (high - low);
  Axis axis{low - extra, high + extra, {}};
  axis.ticks = logarithmic ? log_ticks(axis.low, axis.high) : linear_ticks(axis.low, axis.high);
  return axis;
}

Axis make_axis_from_zero(double high) {
  Axis axis = make_axis(0, high, false, 0);
  const double step = nice_step(axis.high);
  axis.low = 0;  // an empty range was widened to both sides
  axis.high = std::ceil(axis.high / step - 1e-9) * step;
  axis.ticks = linear_ticks(axis.low, axis.high);
  return axis;
}

}  // namespace evo::plot
