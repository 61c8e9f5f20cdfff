// Line charts as SVG files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace evo::plot {

struct Series {
  std::string name;
  std::vector<double> x, y;  ///< of equal length; points that are not finite are left out
};

/// A self-contained SVG document that follows the reader's light or dark colour scheme. With
/// `log_x`, points with x <= 0 are left out too. Without any point the chart says so.
[[nodiscard]] std::string line_chart_svg(std::string_view title, std::string_view x_label,
                                         std::string_view y_label,
                                         const std::vector<Series>& series, bool log_x = false);

}  // namespace evo::plot
