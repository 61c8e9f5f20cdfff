#include "eval/report/content.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/report/align.h"
#include "eval/report/notes.h"
#include "eval/report/numbers.h"
#include "eval/report/tables.h"

namespace evo::eval {
namespace {

std::vector<double> values_of(const AlignedTask& task, std::string_view metric) {
  std::vector<double> values;
  for (const TaskResult* result : task.results) {
    if (result == nullptr) continue;
    const MetricResult* found = find_metric(&result->metrics, metric);
    if (found != nullptr) values.push_back(found->value);
  }
  return values;
}

/// Empty if the task has no metrics.
std::string main_metric(const AlignedTask& task) {
  const std::vector<MetricResult>& metrics = task.any().metrics;
  return metrics.empty() ? "" : metrics.front().name;
}

ReportPoint point_of(const MetricKind& kind, const MetricResult& metric, size_t run,
                     std::string label) {
  const double scale = kind.percent ? 100 : 1;
  const double half = kIntervalErrors * metric.standard_error * scale;
  ReportPoint point;
  point.run = run;
  point.y = metric.value * scale;
  point.half = half > 0 && std::isfinite(half) ? half : 0;
  point.label = std::move(label);
  point.text = value_text(kind, metric.value, metric.standard_error);
  return point;
}

/// A picture per scale: percentages, and each other metric.
ValuePicture& picture_for(std::vector<ValuePicture>& pictures, const MetricKind& kind,
                          const std::string& metric) {
  const std::string title = kind.percent ? "Main metric of each task" : metric_title(metric);
  const auto found = std::ranges::find_if(pictures, [&](const ValuePicture& picture) {
    return picture.percent == kind.percent && picture.title == title;
  });
  if (found != pictures.end()) return *found;
  ValuePicture& picture = pictures.emplace_back();
  picture.title = title;
  picture.percent = kind.percent;
  return picture;
}

ValuePicture::Row value_row(const AlignedTask& task, const std::string& metric,
                            const MetricKind& kind, std::span<const std::string> labels) {
  ValuePicture::Row row;
  row.label = fmt::format("{}, {}", task.any().task, metric_title(metric));
  for (size_t run = 0; run < task.results.size(); ++run) {
    if (task.results[run] == nullptr) continue;
    const MetricResult* found = find_metric(&task.results[run]->metrics, metric);
    if (found == nullptr || !std::isfinite(found->value)) continue;
    row.points.push_back(point_of(kind, *found, run, labels[run]));
    if (found->chance > 0) row.chance = found->chance * (kind.percent ? 100 : 1);
  }
  return row;
}

std::vector<ValuePicture> value_pictures(std::span<const AlignedTask> tasks,
                                         std::span<const std::string> labels, bool one_tokenizer) {
  std::vector<ValuePicture> pictures;
  for (const AlignedTask& task : tasks) {
    const std::string metric = main_metric(task);
    if (metric.empty()) continue;
    const MetricKind kind = metric_kind(metric, values_of(task, metric));
    if (kind.per_token && !one_tokenizer) continue;  // on one axis they would be compared
    ValuePicture::Row row = value_row(task, metric, kind, labels);
    if (row.points.empty()) continue;
    picture_for(pictures, kind, metric).rows.push_back(std::move(row));
  }
  return pictures;
}

std::vector<ReliabilityPicture> reliability_pictures(std::span<const AlignedTask> tasks) {
  std::vector<ReliabilityPicture> pictures;
  for (const AlignedTask& task : tasks) {
    for (size_t run = 0; run < task.results.size(); ++run) {
      const TaskResult* result = task.results[run];
      if (result == nullptr) continue;
      for (const bool drafts : {false, true}) {
        const auto& bins = drafts ? result->draft_reliability : result->choice_reliability;
        if (prediction_count(bins) > 0) pictures.push_back({result->task, run, drafts, bins});
      }
    }
  }
  return pictures;
}

/// The runs of the model of run `first` that generated texts for the task.
std::vector<size_t> generating_runs(const AlignedTask& task, std::span<const EvalRun> runs,
                                    size_t first) {
  std::vector<size_t> found;
  for (size_t run = 0; run < runs.size(); ++run) {
    const TaskResult* result = task.results[run];
    if (result == nullptr || !same_model(runs[first].results, runs[run].results)) continue;
    const double rate = result->tokens_per_forward;
    if (rate > 0 && std::isfinite(rate)) found.push_back(run);
  }
  return found;
}

SpeedPicture speed_picture(const AlignedTask& task, std::span<const EvalRun> runs,
                           std::span<const size_t> compared) {
  SpeedPicture picture;
  picture.task = task.any().task;
  picture.model = runs[compared.front()].results.model;
  picture.metric = main_metric(task);
  const MetricKind kind = metric_kind(picture.metric, values_of(task, picture.metric));
  picture.percent = kind.percent;
  for (const size_t run : compared) {
    const TaskResult& result = *task.results[run];
    const MetricResult* metric = find_metric(&result.metrics, picture.metric);
    if (metric == nullptr || !std::isfinite(metric->value)) continue;
    ReportPoint point = point_of(kind, *metric, run, settings_text(runs[run].results));
    point.x = result.tokens_per_forward;
    picture.points.push_back(std::move(point));
  }
  return picture;
}

/// Where a model did a task with several settings of decoding.
std::vector<SpeedPicture> speed_pictures(std::span<const AlignedTask> tasks,
                                         std::span<const EvalRun> runs) {
  std::vector<SpeedPicture> pictures;
  for (const AlignedTask& task : tasks) {
    for (size_t first = 0; first < runs.size(); ++first) {
      const std::vector<size_t> compared = generating_runs(task, runs, first);
      if (compared.empty() || compared.front() != first) continue;  // had its turn, or none
      const std::string settings = settings_text(runs[first].results);
      const bool differ = std::ranges::any_of(
          compared, [&](size_t run) { return settings_text(runs[run].results) != settings; });
      if (!differ) continue;
      SpeedPicture picture = speed_picture(task, runs, compared);
      if (picture.points.size() > 1) pictures.push_back(std::move(picture));
    }
  }
  return pictures;
}

std::vector<TraceReference> trace_references(std::span<const AlignedTask> tasks,
                                             std::span<const EvalRun> runs) {
  std::vector<TraceReference> traces;
  for (const AlignedTask& task : tasks) {
    for (size_t run = 0; run < runs.size(); ++run) {
      const TaskResult* result = task.results[run];
      if (result == nullptr || result->trace.empty()) continue;
      traces.push_back({result->task, run, runs[run].folder / result->trace, result->trace});
    }
  }
  return traces;
}

std::string title_of(std::span<const EvalRun> runs) {
  const EvalResults& first = runs.front().results;
  const std::string name = first.model.empty() ? "a model" : first.model;
  if (runs.size() == 1) return "Evaluation of " + name;
  const bool one_model =
      std::ranges::all_of(runs, [&](const EvalRun& run) { return same_model(run.results, first); });
  if (one_model) return fmt::format("Evaluation of {}: {} runs", name, runs.size());
  return fmt::format("Comparison of {} runs", runs.size());
}

std::string summary_of(std::span<const EvalRun> runs, size_t tasks) {
  uint64_t examples = 0;  // unsigned: counts of a file may be anything
  for (const EvalRun& run : runs) {
    for (const TaskResult& task : run.results.tasks) examples += static_cast<uint64_t>(task.n);
  }
  return fmt::format("{} {}, {} examples answered{}.", tasks, tasks == 1 ? "task" : "tasks",
                     count_text(static_cast<int64_t>(examples)),
                     runs.size() > 1 ? " in all runs together" : "");
}

}  // namespace

ReportContent report_content(std::span<const EvalRun> runs) {
  if (runs.empty()) fail("a report needs the results of at least one run, found none");
  const std::vector<AlignedTask> tasks = align_tasks(runs);
  ReportContent content;
  content.title = title_of(runs);
  content.summary = summary_of(runs, tasks.size());
  content.labels = run_labels(runs);
  content.settings = settings_table(runs, content.labels);
  content.values = values_table(runs, content.labels, tasks);
  content.value_pictures = value_pictures(tasks, content.labels, same_tokenizers(runs));
  content.subtasks = subtask_tables(runs, content.labels, tasks);
  content.reliability = reliability_pictures(tasks);
  content.speed = speed_pictures(tasks, runs);
  content.traces = trace_references(tasks, runs);
  content.sources = source_table(tasks);
  content.notes = report_notes(runs, content, tasks);
  return content;
}

ReportTable reliability_table(const ReportContent& content, const ReliabilityPicture& picture) {
  ReportTable table;
  table.caption = fmt::format("{}, {}", picture.task, reliability_caption(content, picture));
  table.columns = {{picture.drafts ? "Maturity" : "Confidence", false},
                   {"n"},
                   {"Mean"},
                   {picture.drafts ? "Kept" : "Right"}};
  for (const ReliabilityBin& bin : picture.bins) {
    ReportRow row;
    row.head.text = fmt::format("{}\u2013{}", plain_text(bin.lower), plain_text(bin.upper));
    const bool any = bin.count > 0;
    row.cells = {{count_text(bin.count)},
                 {any ? number_text(bin.predicted, 3) : "\u2013"},
                 {any ? number_text(bin.observed, 3) : "\u2013"}};
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string reliability_caption(const ReportContent& content, const ReliabilityPicture& picture) {
  const double error = calibration_error(picture.bins);
  return fmt::format("{}: {}; ECE {}, {} {}", content.labels[picture.run],
                     picture.drafts ? "drafts kept by maturity" : "accuracy by confidence",
                     number_text(error, 3), count_text(prediction_count(picture.bins)),
                     picture.drafts ? "drafts" : "answers");
}

ReportTable speed_table(const SpeedPicture& picture) {
  ReportTable table;
  table.caption = fmt::format("{}, {}: {} and tokens per forward pass", picture.task, picture.model,
                              metric_title(picture.metric));
  table.columns = {{"Settings", false}, {"Tokens per pass"}, {metric_title(picture.metric)}};
  for (const ReportPoint& point : picture.points) {
    ReportRow row;
    row.head.text = point.label;
    row.cells = {{number_text(point.x, 2)}, {point.text}};
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace evo::eval
