#include "eval/report/align.h"

#include <fmt/format.h>

#include <algorithm>

#include "decode/session/session.h"
#include "eval/report/numbers.h"

namespace evo::eval {
namespace {

bool same_task(const TaskResult& a, const TaskResult& b) {
  return a.task == b.task && a.shots == b.shots && a.version == b.version;
}

/// The row in which the result of a run belongs and that this run has not filled yet.
AlignedTask& row_for(std::vector<AlignedTask>& rows, const TaskResult& result, size_t run,
                     size_t runs) {
  const auto found = std::ranges::find_if(rows, [&](const AlignedTask& row) {
    return row.results[run] == nullptr && same_task(row.any(), result);
  });
  if (found != rows.end()) return *found;
  rows.push_back({std::vector<const TaskResult*>(runs)});
  return rows.back();
}

bool is_repeated(const std::vector<std::string>& labels, size_t at) {
  return std::ranges::count(labels, labels[at]) > 1;
}

void number_repeated(std::vector<std::string>& labels) {
  for (size_t i = 1; i < labels.size(); ++i) {
    const auto before = std::span(labels).first(i);
    const std::string label = labels[i];
    for (int number = 2; std::ranges::find(before, labels[i]) != before.end(); ++number) {
      labels[i] = fmt::format("{} ({})", label, number);
    }
  }
}

}  // namespace

const TaskResult& AlignedTask::any() const {
  const auto found = std::ranges::find_if(results, [](const auto* result) { return result; });
  EVO_CHECK(found != results.end());
  return **found;
}

std::vector<AlignedTask> align_tasks(std::span<const EvalRun> runs) {
  std::vector<AlignedTask> rows;
  for (size_t run = 0; run < runs.size(); ++run) {
    for (const TaskResult& result : runs[run].results.tasks) {
      row_for(rows, result, run, runs.size()).results[run] = &result;
    }
  }
  return rows;
}

std::string settings_text(const EvalResults& results) {
  std::string text = results.mode.empty() ? "mode not known" : results.mode;
  if (results.mode == decode::mode_name(decode::Mode::kEvo)) {
    text += fmt::format(", balance {}", plain_text(results.balance));
  }
  if (results.window > 0) text += fmt::format(", window {}", results.window);
  if (results.mode == decode::mode_name(decode::Mode::kDiffusion)) {
    text += fmt::format(", {} {}", results.steps, results.steps == 1 ? "step" : "steps");
  }
  return text;
}

std::vector<std::string> run_labels(std::span<const EvalRun> runs) {
  std::vector<std::string> names;
  for (const EvalRun& run : runs) {
    names.push_back(run.results.model.empty() ? "unnamed model" : run.results.model);
  }
  std::vector<std::string> labels = names;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (is_repeated(names, i)) labels[i] += ", " + settings_text(runs[i].results);
  }
  number_repeated(labels);
  return labels;
}

std::vector<std::string> metric_names(std::span<const std::vector<MetricResult>* const> metrics) {
  std::vector<std::string> names;
  for (const auto* list : metrics) {
    if (list == nullptr) continue;
    for (const MetricResult& metric : *list) {
      if (std::ranges::find(names, metric.name) == names.end()) names.push_back(metric.name);
    }
  }
  return names;
}

const MetricResult* find_metric(const std::vector<MetricResult>* metrics, std::string_view name) {
  if (metrics == nullptr) return nullptr;
  const auto found = std::ranges::find(*metrics, name, &MetricResult::name);
  return found == metrics->end() ? nullptr : &*found;
}

bool same_model(const EvalResults& a, const EvalResults& b) {
  return a.model == b.model && a.fingerprint == b.fingerprint;
}

bool same_tokenizers(const EvalRun& a, const EvalRun& b) {
  return a.results.tokenizer_fingerprint == b.results.tokenizer_fingerprint;
}

bool same_tokenizers(std::span<const EvalRun> runs) {
  return std::ranges::all_of(
      runs, [&](const EvalRun& run) { return same_tokenizers(runs.front(), run); });
}

}  // namespace evo::eval
