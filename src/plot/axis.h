// The axes of charts: ranges and where ticks lie in them.
#pragma once

#include <string>
#include <vector>

namespace evo::plot {

struct Tick {
  double position = 0;  ///< on the scale of the axis: log10 of the value if it is logarithmic
  std::string label;
};

struct Axis {
  double low = 0, high = 1;
  std::vector<Tick> ticks;
  /// 0 at the low end, 1 at the high end.
  [[nodiscard]] double fraction(double position) const { return (position - low) / (high - low); }
};

/// An axis for finite positions low .. high, of at most 1e300, longer by a share `margin` of the
/// range at both ends. A range that is empty, or too small beside its values for distinct ticks, is
/// widened.
[[nodiscard]] Axis make_axis(double low, double high, bool logarithmic, double margin);

/// An axis from 0 to the first round number that is not below `high`.
[[nodiscard]] Axis make_axis_from_zero(double high);

}  // namespace evo::plot
