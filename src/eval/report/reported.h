// What the authors of the Evo paper (arXiv 2603.06617) report of their model of 8B parameters:
// columns of reference in reports. Nothing of it was measured here.
#pragma once

#include <optional>
#include <string_view>

namespace evo::eval {

struct ReportedScore {
  std::string_view task;          ///< as our tasks are called
  std::optional<double> percent;  ///< nothing: the benchmark is named without a figure
  std::string_view metric;        ///< as far as it is stated
  std::string_view remark = {};
};

/// The number of worked examples is stated for none of them.
inline constexpr std::string_view kReportedShots = "shots not stated";
inline constexpr std::string_view kReportedSource = "arXiv 2603.06617";

/// Null if the authors do not name the task's benchmark.
[[nodiscard]] const ReportedScore* reported_score(std::string_view task);

}  // namespace evo::eval
