#include "decode/policy/pass_cost.h"

#include <algorithm>

namespace evo::decode {
namespace {

constexpr double kHeadShare = 0.1;  // of a pass of one row
constexpr double kLastRows = 16;    // where curves have their last point

}  // namespace

PassCost::PassCost(const CostRatios& ratios) {
  const double few = 1 + (CostRatios::kFewRows - 1) * ratios.few_rows;
  const double many = few + (kLastRows - CostRatios::kFewRows) * ratios.many_rows;
  const auto curve = [&](double share) {
    const double first = share * ratios.scale;
    return Curve{{1, CostRatios::kFewRows, kLastRows}, {first, first * few, first * many}};
  };
  forward_ = curve(1 - kHeadShare);
  head_ = curve(kHeadShare);
  const double step = ratios.scale * ratios.ahead_step;
  ahead_ = {{1, 2, 3},
            {step, step * CostRatios::ahead_steps(2), step * CostRatios::ahead_steps(3)}};
  from_window_ = ratios.scale * ratios.window_step;
}

PassCost PassCost::nominal() {
  PassCost cost;
  cost.forward_ = {{1, 8, 16}, {0.9, 1.17, 1.98}};
  cost.head_ = {{1, 8, 16}, {0.1, 0.13, 0.22}};
  cost.ahead_ = {{1, 8, 15}, {0.05, 0.065, 0.08}};
  cost.from_window_ = 0.1;
  return cost;
}

double PassCost::pass(double rows, double heads) const {
  return forward_.at(rows) + head_.at(heads);
}

double PassCost::draft(DraftKind source, double sessions) const {
  if (source == DraftKind::kNone) return 0;
  return source == DraftKind::kWindow ? from_window_ : ahead_.at(sessions) / sessions;
}

double PassCost::Curve::at(double n) const {
  size_t i = 1;
  while (i + 1 < rows.size() && rows[i] < n) ++i;
  const double slope = (seconds[i] - seconds[i - 1]) / (rows[i] - rows[i - 1]);
  return seconds[i - 1] + slope * (n - rows[i - 1]);
}

}  // namespace evo::decode
