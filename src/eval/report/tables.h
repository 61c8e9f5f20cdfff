// The tables of a report; report_content.h puts them together.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "eval/report/align.h"
#include "eval/report/content.h"

namespace evo::eval {

using RunLabels = std::span<const std::string>;

/// What was evaluated, a run per column.
[[nodiscard]] ReportTable settings_table(std::span<const EvalRun> runs, RunLabels labels);
/// Every metric of every task, a run per column.
[[nodiscard]] ReportTable values_table(std::span<const EvalRun> runs, RunLabels labels,
                                       std::span<const AlignedTask> tasks);
/// The same of each task that has subtasks, these sorted by name.
[[nodiscard]] std::vector<ReportTable> subtask_tables(std::span<const EvalRun> runs,
                                                      RunLabels labels,
                                                      std::span<const AlignedTask> tasks);
/// Where the tasks come from.
[[nodiscard]] ReportTable source_table(std::span<const AlignedTask> tasks);

}  // namespace evo::eval
