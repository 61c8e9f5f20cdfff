#include "plot/chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "plot/axis.h"
#include "plot/svg.h"

namespace evo::plot {
namespace {

// The page in SVG units; the plot area lies inside the margins.
constexpr double kWidth = 800, kHeight = 480;
constexpr double kLeft = 76, kRight = 24, kTop = 52, kBottom = 60;
constexpr double kPlotRight = kWidth - kRight, kPlotBottom = kHeight - kBottom;
constexpr double kLegendLine = 18;
constexpr int kColours = 6;
constexpr double kLargest = 1e300;  // beyond it the width of a range could overflow

// Colours that stay apart for most colour-blind readers (after Okabe and Ito), lighter on dark. No
// CSS variables, which viewers other than browsers do not know.
constexpr std::string_view kStyle = R"(<style>
.evo-chart text{font:13px system-ui,sans-serif;fill:#222}
.evo-chart .title{font-size:17px;font-weight:600}
.evo-chart .line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.evo-chart .paper{fill:#fff}
.evo-chart .grid{stroke:#ddd}
.evo-chart .axis{stroke:#222}
.evo-chart .c0{stroke:#0072b2}
.evo-chart .c1{stroke:#d55e00}
.evo-chart .c2{stroke:#009e73}
.evo-chart .c3{stroke:#cc79a7}
.evo-chart .c4{stroke:#a67c00}
.evo-chart .c5{stroke:#56b4e9}
@media (prefers-color-scheme:dark){
.evo-chart text{fill:#e6e6e6}
.evo-chart .paper{fill:#15181c}
.evo-chart .grid{stroke:#3a3f46}
.evo-chart .axis{stroke:#e6e6e6}
.evo-chart .c0{stroke:#56b4e9}
.evo-chart .c1{stroke:#ff8c42}
.evo-chart .c2{stroke:#2ecc9b}
.evo-chart .c3{stroke:#e39ac4}
.evo-chart .c4{stroke:#f0e442}
.evo-chart .c5{stroke:#8ab4ff}
}
</style>
)";

class Chart {
 public:
  Chart(const std::vector<Series>& series, bool log_x) : series_(series), log_x_(log_x) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    double x_low = kInfinity, x_high = -kInfinity, y_low = kInfinity, y_high = -kInfinity;
    for (const Series& one : series) {
      EVO_CHECK(one.x.size() == one.y.size());
      for (size_t i = 0; i < one.x.size(); ++i) {
        if (!drawable(one.x[i], one.y[i])) continue;
        x_low = std::min(x_low, position(one.x[i]));
        x_high = std::max(x_high, position(one.x[i]));
        y_low = std::min(y_low, one.y[i]);
        y_high = std::max(y_high, one.y[i]);
      }
    }
    if (x_low > x_high) return;
    empty_ = false;
    x_ = make_axis(x_low, x_high, log_x, 0.0);
    y_ = make_axis(y_low, y_high, false, 0.05);
  }

  std::string draw(std::string_view title, std::string_view x_label, std::string_view y_label) {
    Svg svg("evo-chart", kWidth, kHeight, title, kStyle);
    svg.text(kLeft, 28, "start", "title", title);
    if (empty_) {
      svg.text(kWidth / 2, kHeight / 2, "middle", "note", "no data to draw");
    } else {
      draw_axes(svg, x_label, y_label);
      for (size_t i = 0; i < series_.size(); ++i) draw_line(svg, i);
      draw_legend(svg);
    }
    return svg.finish();
  }

 private:
  [[nodiscard]] bool drawable(double x, double y) const {
    return std::abs(x) <= kLargest && std::abs(y) <= kLargest && (!log_x_ || x > 0);  // no NaN
  }
  [[nodiscard]] double position(double x) const { return log_x_ ? std::log10(x) : x; }
  [[nodiscard]] double page_x(double at) const {
    return kLeft + x_.fraction(at) * (kPlotRight - kLeft);
  }
  [[nodiscard]] double page_y(double at) const {
    return kPlotBottom - y_.fraction(at) * (kPlotBottom - kTop);
  }

  void draw_axes(Svg& svg, std::string_view x_label, std::string_view y_label) const {
    for (const Tick& tick : y_.ticks) {
      const double y = page_y(tick.position);
      svg.segment(kLeft, y, kPlotRight, y, "grid");
      svg.text(kLeft - 8, y + 4, "end", "tick", tick.label);
    }
    for (const Tick& tick : x_.ticks) {
      const double x = page_x(tick.position);
      svg.segment(x, kPlotBottom, x, kPlotBottom + 5, "axis");
      svg.text(x, kPlotBottom + 20, "middle", "tick", tick.label);
    }
    svg.segment(kLeft, kPlotBottom, kPlotRight, kPlotBottom, "axis");
    svg.segment(kLeft, kTop, kLeft, kPlotBottom, "axis");
    svg.text((kLeft + kPlotRight) / 2, kHeight - 16, "middle", "label", x_label);
    svg.add("<g transform=\"translate(18 {:.1f}) rotate(-90)\">", (kTop + kPlotBottom) / 2);
    svg.text(0, 0, "middle", "label", y_label);
    svg.add("</g>\n");
  }

  /// A point that cannot be drawn leaves a gap; a single point between gaps shows as a dot, as the
  /// round caps of a segment without length.
  void draw_line(Svg& svg, size_t index) const {
    const Series& one = series_[index];
    svg.add("<path d=\"");
    bool pen_down = false;
    for (size_t i = 0; i < one.x.size(); ++i) {
      const bool draws = drawable(one.x[i], one.y[i]);
      if (draws) {
        svg.add("{}{:.1f},{:.1f}{}", pen_down ? "L" : "M", page_x(position(one.x[i])),
                page_y(one.y[i]), pen_down ? "" : "h0");
      }
      pen_down = draws;
    }
    svg.add("\" class=\"line c{}\"/>\n", index % kColours);
  }

  void draw_legend(Svg& svg) const {
    double y = kTop + 8;
    for (size_t i = 0; i < series_.size(); ++i, y += kLegendLine) {
      svg.add("<path d=\"M{:.1f},{:.1f}h22\" class=\"line c{}\"/>\n", kPlotRight - 24, y,
              i % kColours);
      svg.text(kPlotRight - 32, y + 4, "end", "legend", series_[i].name);
    }
  }

  const std::vector<Series>& series_;
  bool log_x_, empty_ = true;
  Axis x_, y_;
};

}  // namespace

std::string line_chart_svg(std::string_view title, std::string_view x_label,
                           std::string_view y_label, const std::vector<Series>& series,
                           bool log_x) {
  return Chart(series, log_x).draw(title, x_label, y_label);
}

}  // namespace evo::plot
