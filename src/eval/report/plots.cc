// Pictures with two axes: reliability, and speed against values.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "eval/report/numbers.h"
#include "eval/report/pictures.h"
#include "eval/report/text.h"
#include "plot/axis.h"
#include "plot/svg.h"

namespace evo::eval {
namespace {

// The plot in a picture, in SVG units, which are about pixels.
struct Frame {
  double left, top, right, bottom;
};

/// Axes, and where values lie between them.
class Plot {
 public:
  Plot(Frame frame, plot::Axis x, plot::Axis y)
      : frame_(frame), x_(std::move(x)), y_(std::move(y)) {}

  /// What lies beyond an axis is drawn at its end.
  [[nodiscard]] double x(double value) const {
    return std::lerp(frame_.left, frame_.right, std::clamp(x_.fraction(value), 0.0, 1.0));
  }
  [[nodiscard]] double y(double value) const {
    return std::lerp(frame_.bottom, frame_.top, std::clamp(y_.fraction(value), 0.0, 1.0));
  }

  /// Labels of the x axis stand below `ticks_y`.
  void draw_axes(plot::Svg& svg, double ticks_y, std::string_view x_label,
                 std::string_view y_label) const {
    for (const plot::Tick& tick : y_.ticks) {
      const double at = y(tick.position);
      svg.segment(frame_.left, at, frame_.right, at, "grid");
      svg.text(frame_.left - 6, at + 4, "end", "tick", tick.label);
    }
    for (const plot::Tick& tick : x_.ticks) {
      const double at = x(tick.position);
      svg.segment(at, frame_.top, at, frame_.bottom, "grid");
      svg.text(at, ticks_y + 15, "middle", "tick", tick.label);
    }
    svg.text((frame_.left + frame_.right) / 2, ticks_y + 33, "middle", "label", x_label);
    svg.add("<g transform=\"translate(12 {:.1f}) rotate(-90)\">", (frame_.top + frame_.bottom) / 2);
    svg.text(0, 0, "middle", "label", y_label);
    svg.add("</g>\n");
  }

  void draw_mark(plot::Svg& svg, double at_x, double at_y, size_t run) const {
    svg.add("<g transform=\"translate({:.1f} {:.1f})\">{}</g>\n", at_x, at_y, run_mark(run));
  }

 private:
  Frame frame_;
  plot::Axis x_, y_;
};

class ReliabilityDiagram {
 public:
  explicit ReliabilityDiagram(const ReliabilityPicture& picture)
      : picture_(picture),
        plot_(kFrame, plot::make_axis(0, 1, false, 0), plot::make_axis(0, 1, false, 0)) {}

  std::string draw() const {
    const std::string title = fmt::format(
        "{}: {}; the table has the numbers", picture_.task,
        picture_.drafts ? "share of drafts kept by maturity" : "accuracy by confidence");
    plot::Svg svg("pic", kWidth, kHeight, one_line(title), "");
    plot_.draw_axes(svg, kBarsBottom, picture_.drafts ? "maturity" : "confidence",
                    picture_.drafts ? "kept" : "right");
    svg.segment(kFrame.left, kFrame.bottom, kFrame.right, kFrame.top, "ideal");
    draw_counts(svg);
    svg.add("<g class=\"run{}\">", picture_.run % kRunColours);
    draw_line(svg);
    for (const ReliabilityBin& bin : picture_.bins) draw_bin(svg, bin);
    svg.add("</g>\n");
    return svg.finish();
  }

 private:
  static constexpr double kWidth = 340, kHeight = 394;
  static constexpr Frame kFrame{46, 8, 332, 294};
  static constexpr double kBarsTop = 312, kBarsBottom = 352;

  static bool is_drawn(const ReliabilityBin& bin) {
    return bin.count > 0 && std::isfinite(bin.predicted) && std::isfinite(bin.observed);
  }

  void draw_counts(plot::Svg& svg) const {
    int64_t most = 1;
    for (const ReliabilityBin& bin : picture_.bins) most = std::max(most, bin.count);
    for (const ReliabilityBin& bin : picture_.bins) {
      if (!std::isfinite(bin.lower) || !std::isfinite(bin.upper)) continue;
      const double left = plot_.x(bin.lower), right = plot_.x(bin.upper);
      const double height =
          (kBarsBottom - kBarsTop) * static_cast<double>(bin.count) / static_cast<double>(most);
      svg.add(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"bar\"/>\n",
          left + 1, kBarsBottom - height, std::max(0.0, right - left - 2), height);
      svg.text((left + right) / 2, kBarsBottom - height - 3, "middle", "count",
               short_count_text(bin.count));
    }
    svg.segment(kFrame.left, kBarsBottom, kFrame.right, kBarsBottom, "axis");
  }

  void draw_line(plot::Svg& svg) const {
    std::string path;
    for (const ReliabilityBin& bin : picture_.bins) {
      if (!is_drawn(bin)) continue;
      path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? 'M' : 'L', plot_.x(bin.predicted),
                          plot_.y(bin.observed));
    }
    if (!path.empty()) svg.add("<path d=\"{}\" class=\"through\"/>\n", path);
  }

  void draw_bin(plot::Svg& svg, const ReliabilityBin& bin) const {
    if (!is_drawn(bin)) return;
    const double x = plot_.x(bin.predicted);
    const ShareInterval interval = share_interval(std::clamp(bin.observed, 0.0, 1.0), bin.count);
    svg.segment(x, plot_.y(interval.lower), x, plot_.y(interval.upper), "interval");
    plot_.draw_mark(svg, x, plot_.y(bin.observed), picture_.run);
  }

  const ReliabilityPicture& picture_;
  Plot plot_;
};

class SpeedPlot {
 public:
  explicit SpeedPlot(const SpeedPicture& picture)
      : picture_(picture), plot_(kFrame, x_axis(picture), y_axis(picture)) {}

  std::string draw() const {
    const std::string title =
        fmt::format("{}, {}: {} against tokens per forward pass; the table has the numbers",
                    picture_.task, picture_.model, metric_title(picture_.metric));
    plot::Svg svg("pic", kWidth, kHeight, one_line(title), "");
    const std::string unit = picture_.percent ? ", %" : "";
    plot_.draw_axes(svg, kFrame.bottom, "tokens per forward pass",
                    one_line(metric_title(picture_.metric)) + unit);
    for (const ReportPoint& point : picture_.points) draw_point(svg, point);
    draw_labels(svg);
    return svg.finish();
  }

 private:
  static constexpr double kWidth = 340, kHeight = 300;
  static constexpr Frame kFrame{50, 8, 332, 258};
  static constexpr double kLabelHeight = 14;
  static constexpr double kLargest = 1e299;  // twice as much is a number still

  static double bounded(double value) { return std::clamp(value, -kLargest, kLargest); }

  static plot::Axis x_axis(const SpeedPicture& picture) {
    double low = 1, high = 1;  // a plain autoregressive pass
    for (const ReportPoint& point : picture.points) {
      low = std::min(low, bounded(point.x));
      high = std::max(high, bounded(point.x));
    }
    return plot::make_axis(low, high, false, 0.08);
  }
  static plot::Axis y_axis(const SpeedPicture& picture) {
    double low = kLargest, high = -kLargest;
    for (const ReportPoint& point : picture.points) {
      low = std::min(low, bounded(point.y - point.half));
      high = std::max(high, bounded(point.y + point.half));
    }
    return plot::make_axis(low, high, false, 0.08);
  }

  void draw_point(plot::Svg& svg, const ReportPoint& point) const {
    const double x = plot_.x(point.x);
    svg.add("<g class=\"run{}\">", point.run % kRunColours);
    if (point.half > 0) {
      svg.segment(x, plot_.y(point.y - point.half), x, plot_.y(point.y + point.half), "interval");
    }
    plot_.draw_mark(svg, x, plot_.y(point.y), point.run);
    svg.add("</g>\n");
  }

  /// Beside the points, on the side where there is room, from the highest down; pushed down where
  /// they would lie on each other.
  void draw_labels(plot::Svg& svg) const {
    std::vector<ReportPoint> points = picture_.points;
    std::ranges::stable_sort(points, std::greater<>(), &ReportPoint::y);
    double lowest[2] = {-kLabelHeight, -kLabelHeight};  // per side
    const double middle = (kFrame.left + kFrame.right) / 2;
    for (const ReportPoint& point : points) {
      const double x = plot_.x(point.x);
      const bool to_left = x > middle;
      double& taken = lowest[to_left ? 1 : 0];
      taken = std::max(taken + kLabelHeight, plot_.y(point.y) + 4);
      svg.text(to_left ? x - 10 : x + 10, taken, to_left ? "end" : "start", "point",
               one_line(point.label));
    }
  }

  const SpeedPicture& picture_;
  Plot plot_;
};

}  // namespace

std::string reliability_picture_svg(const ReliabilityPicture& picture) {
  return ReliabilityDiagram(picture).draw();
}

std::string speed_picture_svg(const SpeedPicture& picture) {
  return SpeedPlot(picture).draw();
}

}  // namespace evo::eval
