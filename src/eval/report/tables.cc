#include "eval/report/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/terminal/progress.h"
#include "eval/report/numbers.h"
#include "eval/report/reported.h"

namespace evo::eval {
namespace {

/// The results of one task, or subtask, in one run.
struct Measured {
  const std::vector<MetricResult>* metrics = nullptr;  // null: not run
  int64_t n = 0;
};

void add_setting(ReportTable& table, std::span<const EvalRun> runs, const char* name,
                 std::string (*text)(const EvalResults&)) {
  ReportRow row;
  row.head.text = name;
  for (const EvalRun& run : runs) row.cells.push_back({text(run.results)});
  const bool same = std::ranges::all_of(
      row.cells, [&](const ReportCell& cell) { return cell.text == row.cells.front().text; });
  if (!same) row.head.detail = "differs";
  table.rows.push_back(std::move(row));
}

std::string or_dash(const std::string& text) {
  return text.empty() ? "\u2013" : text;
}

std::string score_text(const EvalResults& results) {
  if (results.score == "ar") return "ar (exact)";
  return results.score.empty() ? "\u2013" : results.score + " (a bound)";
}

ReportCell value_cell(const MetricKind& kind, const MetricResult& metric) {
  return {value_text(kind, metric.value, metric.standard_error)};
}

void add_detail(ReportCell& cell, const std::string& detail) {
  cell.detail += cell.detail.empty() ? detail : "; " + detail;
}

void add_difference(ReportCell& cell, const MetricKind& kind, const MetricResult& first,
                    const MetricResult& other, bool same_tokenizer) {
  if (kind.per_token && !same_tokenizer) return add_detail(cell, "not comparable: other tokenizer");
  const Difference change = difference(kind, first, other);
  add_detail(cell, change.text);
  if (change.verdict == Difference::Verdict::kBetter) cell.tone = ReportCell::Tone::kBetter;
  if (change.verdict == Difference::Verdict::kWorse) cell.tone = ReportCell::Tone::kWorse;
}

/// Of the first run that has it.
int64_t first_count(std::span<const Measured> measured) {
  for (const Measured& one : measured) {
    if (one.metrics != nullptr) return one.n;
  }
  return 0;
}

/// One row of the metric `name`, all but its head.
ReportRow metric_row(std::span<const EvalRun> runs, std::span<const Measured> measured,
                     const std::string& name) {
  std::vector<const MetricResult*> found;
  std::vector<double> values;
  double chance = 0;
  for (const Measured& one : measured) {
    const MetricResult* metric = found.emplace_back(find_metric(one.metrics, name));
    if (metric == nullptr) continue;
    values.push_back(metric->value);
    if (!(chance > 0)) chance = metric->chance;
  }
  const MetricKind kind = metric_kind(name, values);
  const int64_t n = first_count(measured);
  ReportRow row;
  row.cells = {{metric_title(name)}};
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i] == nullptr) {
      row.cells.push_back({"\u2013"});
      continue;
    }
    ReportCell& cell = row.cells.emplace_back(value_cell(kind, *found[i]));
    if (i > 0 && found[0] != nullptr) {
      add_difference(cell, kind, *found[0], *found[i], same_tokenizers(runs[0], runs[i]));
    }
    if (measured[i].n != n) add_detail(cell, "n = " + count_text(measured[i].n));
  }
  row.cells.push_back({chance_text(kind, chance)});
  row.cells.push_back({count_text(n)});
  return row;
}

/// A row for each metric, all under one head.
void add_metric_rows(ReportTable& table, std::span<const EvalRun> runs, const ReportCell& head,
                     std::span<const Measured> measured) {
  std::vector<const std::vector<MetricResult>*> lists;
  for (const Measured& one : measured) lists.push_back(one.metrics);
  bool continues = false;
  for (const std::string& name : metric_names(lists)) {
    ReportRow row = metric_row(runs, measured, name);
    row.head = head;
    row.continues = continues;
    continues = true;
    table.rows.push_back(std::move(row));
  }
}

ReportTable metric_table(RunLabels labels, std::string head, std::string caption) {
  ReportTable table;
  table.caption = std::move(caption);
  table.columns = {{std::move(head), false}, {"Metric", false}};
  for (const std::string& label : labels) table.columns.push_back({label});
  table.columns.push_back({"Chance"});
  table.columns.push_back({"n"});
  return table;
}

/// What the paper's authors report, beside the first of the task's rows, the main metric's.
void add_reported(ReportTable& table, size_t first_row, std::string_view task) {
  const ReportedScore* score = reported_score(task);
  for (size_t row = first_row; row < table.rows.size(); ++row) {
    std::vector<ReportCell>& cells = table.rows[row].cells;
    if (score == nullptr || row > first_row) {
      cells.insert(cells.end(), {{"\u2013"}, {"\u2013"}});
      continue;
    }
    cells.push_back({score->percent ? fmt::format("{:.1f}%", *score->percent) : "no figure",
                     std::string(score->remark)});
    cells.push_back({fmt::format("{}, {}", score->metric, kReportedShots)});
  }
}

/// The subtask in each of the runs.
std::vector<Measured> measured_group(const AlignedTask& task, const std::string& group) {
  std::vector<Measured> measured(task.results.size());
  for (size_t run = 0; run < measured.size(); ++run) {
    if (task.results[run] == nullptr) continue;
    const auto& groups = task.results[run]->groups;
    const auto found = std::ranges::find(groups, group, &GroupResult::group);
    if (found != groups.end()) measured[run] = {&found->metrics, found->n};
  }
  return measured;
}

std::set<std::string> group_names(const AlignedTask& task) {
  std::set<std::string> names;
  for (const TaskResult* result : task.results) {
    if (result == nullptr) continue;
    for (const GroupResult& group : result->groups) names.insert(group.group);
  }
  return names;
}

}  // namespace

ReportTable settings_table(std::span<const EvalRun> runs, RunLabels labels) {
  ReportTable table;
  table.caption = runs.size() > 1 ? "What was evaluated, and how the runs differ"
                                  : "What was evaluated, and how";
  table.columns = {{"Setting", false}};
  for (const std::string& label : labels) table.columns.push_back({label, false});
  const auto add = [&](const char* name, std::string (*text)(const EvalResults&)) {
    add_setting(table, runs, name, text);
  };
  using Results = const EvalResults&;
  add("Model", [](Results results) { return or_dash(results.model); });
  add("Parameters", [](Results results) {
    return fmt::format("{} ({})", format_count(static_cast<double>(results.parameters)),
                       count_text(results.parameters));
  });
  add("Decoding", settings_text);
  add("Temperature", [](Results results) {
    return results.temperature == 0 ? "0 (greedy)" : plain_text(results.temperature);
  });
  add("Likelihood along", score_text);
  add("Prompts", [](Results results) { return or_dash(results.prompts); });
  add("Precision", [](Results results) { return or_dash(results.precision); });
  add("Examples", [](Results results) {
    return results.limit == 0 ? "all" : "at most " + count_text(results.limit) + " of each task";
  });
  add("Seed", [](Results results) { return or_dash(results.seed); });
  add("Weights", [](Results results) { return or_dash(results.fingerprint); });
  add("Tokenizer", [](Results results) { return or_dash(results.tokenizer_fingerprint); });
  add("evo", [](Results results) { return or_dash(results.program); });
  return table;
}

ReportTable values_table(std::span<const EvalRun> runs, RunLabels labels,
                         std::span<const AlignedTask> tasks) {
  ReportTable table = metric_table(
      labels, "Task",
      runs.size() > 1 ? "Values with 95% intervals and the difference to " + labels.front()
                      : "Values with 95% intervals");
  const bool with_reported = std::ranges::any_of(
      tasks, [](const AlignedTask& task) { return reported_score(task.any().task) != nullptr; });
  if (with_reported) {
    table.columns.push_back({"Paper\u2019s 8B, reported by its authors"});
    table.columns.push_back({"Metric and shots there", false});
  }
  for (const AlignedTask& task : tasks) {
    const size_t first_row = table.rows.size();
    std::vector<Measured> measured;
    for (const TaskResult* result : task.results) {
      measured.push_back(result != nullptr ? Measured{&result->metrics, result->n} : Measured{});
    }
    const TaskResult& any = task.any();
    const std::string detail = fmt::format("{}-shot, version {}", any.shots, or_dash(any.version));
    add_metric_rows(table, runs, {any.task, detail}, measured);
    if (with_reported) add_reported(table, first_row, any.task);
  }
  return table;
}

std::vector<ReportTable> subtask_tables(std::span<const EvalRun> runs, RunLabels labels,
                                        std::span<const AlignedTask> tasks) {
  std::vector<ReportTable> tables;
  for (const AlignedTask& task : tasks) {
    const std::set<std::string> names = group_names(task);
    if (names.empty()) continue;
    ReportTable table = metric_table(labels, "Subtask",
                                     fmt::format("{}: {} {}", task.any().task, names.size(),
                                                 names.size() == 1 ? "subtask" : "subtasks"));
    for (const std::string& name : names) {
      add_metric_rows(table, runs, {name}, measured_group(task, name));
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

ReportTable source_table(std::span<const AlignedTask> tasks) {
  ReportTable table;
  table.caption = "Whose prompts, shots and rules of scoring the tasks follow";
  table.columns = {{"Task", false}, {"Version", false}, {"Source", false}};
  for (const AlignedTask& task : tasks) {
    const TaskResult& any = task.any();
    ReportRow row;
    row.head.text = any.task;
    row.cells = {{or_dash(any.version)}, {or_dash(any.source)}};
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace evo::eval
