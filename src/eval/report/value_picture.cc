// The strips of values: lengths across in percent of the width, so that letters keep their size on
// a narrow page; lengths downwards in pixels.
#include <fmt/format.h>

#include <algorithm>

#include "eval/report/pictures.h"
#include "eval/report/text.h"
#include "plot/axis.h"

namespace evo::eval {
namespace {

constexpr double kLeft = 1.6, kRight = 98.4;  // of the plot, in percent of the width
constexpr double kTop = 24, kBottom = 6;      // room for the ticks; below the last strip
constexpr double kNameHeight = 20, kStripHeight = 15, kRowGap = 12;

class Strips {
 public:
  explicit Strips(const ValuePicture& picture)
      : picture_(picture), axis_(axis_of(picture)), height_(kTop + kBottom) {
    for (const ValuePicture::Row& row : picture.rows) height_ += row_height(row);
  }

  std::string draw() {
    text_ = fmt::format(
        "<svg class=\"pic values\" width=\"100%\" height=\"{:.0f}\" role=\"img\">\n"
        "<title>{}: values with 95% intervals; the table has the numbers</title>\n",
        height_, html_text(picture_.title));
    draw_axis();
    double top = kTop;
    for (const ValuePicture::Row& row : picture_.rows) {
      draw_row(row, top);
      top += row_height(row);
    }
    return text_ + "</svg>\n";
  }

 private:
  /// Shares have a natural zero, other values only each other.
  static plot::Axis axis_of(const ValuePicture& picture) {
    constexpr double kLargest = 1e300;  // beyond it the width of a range could overflow
    double low = kLargest, high = -kLargest;
    const auto include = [&](double from, double to) {
      low = std::max(std::min(low, from), -kLargest);
      high = std::min(std::max(high, to), kLargest);
    };
    for (const ValuePicture::Row& row : picture.rows) {
      if (row.chance > 0) include(row.chance, row.chance);
      for (const ReportPoint& point : row.points) {
        include(point.y - point.half, point.y + point.half);
      }
    }
    if (picture.percent) return plot::make_axis_from_zero(std::clamp(high, 0.0, 100.0));
    return plot::make_axis(low, high, false, 0.08);
  }

  static double row_height(const ValuePicture::Row& row) {
    return kNameHeight + kStripHeight * static_cast<double>(row.points.size()) + kRowGap;
  }
  /// In percent of the width. What lies beyond the axis is drawn at its end.
  [[nodiscard]] double x(double value) const {
    return kLeft + (kRight - kLeft) * std::clamp(axis_.fraction(value), 0.0, 1.0);
  }

  void add_line(double x1, double y1, double x2, double y2, std::string_view css) {
    text_ += fmt::format(
        "<line x1=\"{:.2f}%\" y1=\"{:.1f}\" x2=\"{:.2f}%\" y2=\"{:.1f}\" class=\"{}\"/>\n", x1, y1,
        x2, y2, css);
  }
  void add_text(double at, double y, std::string_view anchor, std::string_view css,
                std::string_view content) {
    text_ +=
        fmt::format("<text x=\"{:.2f}%\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n",
                    at, y, anchor, css, html_text(content));
  }

  void draw_axis() {
    for (const plot::Tick& tick : axis_.ticks) {
      const double at = x(tick.position), part = axis_.fraction(tick.position);
      add_line(at, kTop - 6, at, height_ - kBottom, "grid");
      const char* anchor = part < 0.01 ? "start" : part > 0.99 ? "end" : "middle";
      add_text(at, kTop - 11, anchor, "tick", tick.label + (picture_.percent ? "%" : ""));
    }
  }

  void draw_row(const ValuePicture::Row& row, double top) {
    const double first = top + kNameHeight, end = top + row_height(row) - kRowGap;
    if (row.chance > 0) add_line(x(row.chance), first - 2, x(row.chance), end + 2, "chance");
    add_text(kLeft, top + 13, "start", "name", row.label);
    if (row.points.size() == 1) {
      add_text(kRight, top + 13, "end", "number", row.points.front().text);
    }
    double middle = first + kStripHeight / 2;
    for (const ReportPoint& point : row.points) {
      draw_point(point, middle);
      middle += kStripHeight;
    }
  }

  /// Marks are pictures of their own, since a path cannot be placed in percent.
  void draw_point(const ReportPoint& point, double y) {
    text_ += fmt::format("<g class=\"run{}\"><title>{}: {}</title>\n", point.run % kRunColours,
                         html_text(point.label), html_text(point.text));
    if (point.half > 0)
      add_line(x(point.y - point.half), y, x(point.y + point.half), y, "interval");
    text_ += fmt::format("<svg x=\"{:.2f}%\" y=\"{:.1f}\" overflow=\"visible\">{}</svg></g>\n",
                         x(point.y), y, run_mark(point.run));
  }

  const ValuePicture& picture_;
  plot::Axis axis_;
  double height_;
  std::string text_;
};

}  // namespace

std::string value_picture_svg(const ValuePicture& picture) {
  return Strips(picture).draw();
}

}  // namespace evo::eval
