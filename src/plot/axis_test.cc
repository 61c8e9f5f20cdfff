#include "plot/axis.h"

#include <gtest/gtest.h>

namespace evo::plot {
namespace {

std::vector<std::string> labels(const Axis& axis) {
  std::vector<std::string> result;
  for (const Tick& tick : axis.ticks) result.push_back(tick.label);
  return result;
}

TEST(Axis, PositionsAreFractionsOfTheRange) {
  const Axis axis = make_axis(10, 20, false, 0.5);
  EXPECT_EQ(axis.fraction(5), 0);
  EXPECT_EQ(axis.fraction(15), 0.5);
  EXPECT_EQ(axis.fraction(25), 1);
}

TEST(Axis, FromZeroToARoundNumber) {
  const std::vector<std::pair<double, double>> cases = {{97, 100},  {100, 100}, {41, 50},
                                                        {0.3, 0.3}, {8.4, 10},  {1e300, 1e300}};
  for (const auto& [high, end] : cases) {
    const Axis axis = make_axis_from_zero(high);
    EXPECT_EQ(axis.low, 0);
    EXPECT_NEAR(axis.high / end, 1, 1e-12) << high;  // some roundings of a double
    EXPECT_GE(axis.ticks.size(), 3u) << high;
    EXPECT_EQ(axis.ticks.front().position, 0) << high;
    EXPECT_NEAR(axis.fraction(axis.ticks.back().position), 1, 1e-12) << high;
  }
  EXPECT_EQ(labels(make_axis_from_zero(97)),
            (std::vector<std::string>{"0", "20", "40", "60", "80", "100"}));
}

TEST(Axis, FromZeroToZeroHasARange) {
  const Axis axis = make_axis_from_zero(0);
  EXPECT_EQ(axis.low, 0);
  EXPECT_GT(axis.high, 0);
  EXPECT_GE(axis.ticks.size(), 2u);
}

}  // namespace
}  // namespace evo::plot
