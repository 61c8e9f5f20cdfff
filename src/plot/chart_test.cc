#include "plot/chart.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "plot/svg_testing.h"

namespace evo::plot {
namespace {

using testing::count;
using testing::expect_balanced;
using testing::texts;

TEST(Chart, HasAxesLinesAndLegend) {
  const std::string svg = line_chart_svg(
      "Loss", "step", "nats", {{"train", {0, 50, 100}, {3, 2, 1}}, {"valid", {0, 100}, {3, 2.5}}});
  expect_balanced(svg);
  EXPECT_EQ(texts(svg, "title"), std::vector<std::string>{"Loss"});
  EXPECT_EQ(texts(svg, "label"), (std::vector<std::string>{"step", "nats"}));
  EXPECT_EQ(texts(svg, "legend"), (std::vector<std::string>{"train", "valid"}));
  EXPECT_EQ(texts(svg, "tick"),
            (std::vector<std::string>{"1.0", "1.5", "2.0", "2.5", "3.0",  // y, with a margin
                                      "0", "20", "40", "60", "80", "100"}));
  EXPECT_NE(svg.find("prefers-color-scheme:dark"), std::string::npos);
  EXPECT_EQ(svg.find("http", svg.find("w3.org") + 1), std::string::npos);  // nothing from outside
}

TEST(Chart, PointsAreWhereTheyBelong) {
  const std::string svg = line_chart_svg("t", "x", "y", {{"a", {0, 10}, {0, 1}}});
  // x fills the plot area, 76 .. 776; y has a margin of 5% of the range in 420 .. 52.
  EXPECT_NE(svg.find("d=\"M76.0,403.3h0L776.0,68.7\""), std::string::npos) << svg;
}

TEST(Chart, EscapesText) {
  const std::string svg =
      line_chart_svg("<a> & \"b\"", "x<", "y>\x01", {{"</text><script>", {0, 1}, {0, 1}}});
  expect_balanced(svg);
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(texts(svg, "title").at(0), "&lt;a&gt; &amp; &quot;b&quot;");
  EXPECT_EQ(texts(svg, "label"), (std::vector<std::string>{"x&lt;", "y&gt;"}));
}

TEST(Chart, NotFinitePointsLeaveGaps) {
  const double nan = std::nan("");
  const std::string svg =
      line_chart_svg("t", "x", "y", {{"a", {0, 1, 2, 3, INFINITY}, {1, nan, 3, -INFINITY, 5}}});
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  EXPECT_EQ(count(svg, "h0"), 2u);  // two pieces, each a single point
}

TEST(Chart, WithoutPointsSaysSo) {
  for (const auto& series : {std::vector<Series>{}, {{"a", {}, {}}}, {{"a", {1}, {NAN}}}}) {
    const std::string svg = line_chart_svg("t", "x", "y", series);
    expect_balanced(svg);
    EXPECT_NE(svg.find("no data"), std::string::npos);
  }
  EXPECT_NE(line_chart_svg("t", "x", "y", {{"a", {0, -1}, {1, 1}}}, true).find("no data"),
            std::string::npos);
}

TEST(Chart, LogarithmicAxis) {
  const std::string svg =
      line_chart_svg("t", "x", "y", {{"a", {0, 1, 100, 10000}, {9, 1, 1, 2}}}, true);
  const auto ticks = texts(svg, "tick");
  for (const char* label : {"1", "10", "100", "1000", "10000"}) {
    EXPECT_EQ(std::count(ticks.begin(), ticks.end(), label), 1) << label;
  }
  EXPECT_NE(svg.find("L426.0,"), std::string::npos) << "100 is in the middle of 1 .. 10000";
}

TEST(Chart, DegenerateAndExtremeRanges) {
  const std::vector<std::pair<double, double>> ranges = {
      {5, 5},          {0, 0},           {-3, -3}, {1e15, 1e15 + 1}, {1e-12, 3e-12},
      {-1e299, 1e299}, {1e-310, 2e-310}, {0, 1e9}, {-7, 13}};
  for (const auto& [low, high] : ranges) {
    SCOPED_TRACE(fmt::format("{} .. {}", low, high));
    const std::string svg = line_chart_svg("t", "x", "y", {{"a", {low, high}, {low, high}}});
    expect_balanced(svg);
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
    const auto ticks = texts(svg, "tick");
    EXPECT_GE(ticks.size(), 4u);
    EXPECT_LE(ticks.size(), 32u);
  }
}

}  // namespace
}  // namespace evo::plot
