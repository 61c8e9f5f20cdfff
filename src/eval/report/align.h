// Several runs side by side: what they are called, and which of their results belong together.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/report/report.h"

namespace evo::eval {

/// A task in each of the runs. Other shots or another version make another task.
struct AlignedTask {
  std::vector<const TaskResult*> results;  ///< per run; null: it was not run

  /// Of the first run that has it.
  [[nodiscard]] const TaskResult& any() const;
};

/// In the order of the first run, then what only later ones have. Points into `runs`.
[[nodiscard]] std::vector<AlignedTask> align_tasks(std::span<const EvalRun> runs);

/// How texts were generated: "evo, balance 0.25, window 8".
[[nodiscard]] std::string settings_text(const EvalResults& results);

/// The model's name, with its settings and then a number where that leaves two alike.
[[nodiscard]] std::vector<std::string> run_labels(std::span<const EvalRun> runs);

/// The names of metrics, each once, in the order in which they come.
[[nodiscard]] std::vector<std::string> metric_names(
    std::span<const std::vector<MetricResult>* const> metrics);
/// Null if there is none of that name, or no list.
[[nodiscard]] const MetricResult* find_metric(const std::vector<MetricResult>* metrics,
                                              std::string_view name);

[[nodiscard]] bool same_model(const EvalResults& a, const EvalResults& b);
[[nodiscard]] bool same_tokenizers(const EvalRun& a, const EvalRun& b);
[[nodiscard]] bool same_tokenizers(std::span<const EvalRun> runs);

}  // namespace evo::eval
