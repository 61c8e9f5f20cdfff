#include "eval/report/notes.h"

#include <fmt/format.h>

#include <algorithm>

#include "eval/report/numbers.h"
#include "eval/report/reported.h"

namespace evo::eval {
namespace {

using Notes = std::vector<std::string>;

void add_statistics(std::span<const EvalRun> runs, const ReportContent& content, Notes& notes) {
  notes.emplace_back(
      "An interval is the value \u00B1 1.96 standard errors over the examples: 95% by the normal "
      "approximation, which is rough near 0% and 100% and for few examples.");
  if (runs.size() > 1) {
    notes.push_back(fmt::format(
        "Differences are to the first run, {}; of percentages, in percentage points. One is called "
        "better or worse if it is larger than 1.96 \u221A(e\u2081\u00B2 + e\u2082\u00B2), e being "
        "the two standard errors: a two-sided test at the level of 5% that takes the runs for "
        "independent, although they answer the same examples. There is no correction for many "
        "tasks: of 20 differences between equal models about one will look real.",
        content.labels.front()));
  }
  notes.emplace_back(
      "Chance is what guessing is expected to reach; a dash: not known, or not run.");
}

void add_bounds(std::span<const EvalRun> runs, const ReportContent& content, Notes& notes) {
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string& score = runs[i].results.score;
    if (score.empty() || score == "ar") continue;
    notes.push_back(fmt::format(
        "{}: likelihoods are taken along the path {}, where the model gives the ELBO. They are "
        "bounds, estimated with noise: the model finds texts at least as likely in expectation, "
        "and choices are compared by their bounds.",
        content.labels[i], score));
  }
}

void add_comparability(std::span<const EvalRun> runs, std::span<const AlignedTask> tasks,
                       Notes& notes) {
  if (!same_tokenizers(runs)) {
    notes.emplace_back(
        "The runs have different tokenizers. What is counted per token, perplexity among it, is "
        "then not comparable and not compared; bits per byte are comparable.");
  }
  const bool other_n = std::ranges::any_of(tasks, [](const AlignedTask& task) {
    return std::ranges::any_of(task.results, [&](const TaskResult* result) {
      return result != nullptr && result->n != task.any().n;
    });
  });
  if (other_n) {
    notes.emplace_back("Where n differs between runs, they answered different examples.");
  }
}

void add_reported(std::span<const AlignedTask> tasks, Notes& notes) {
  const bool any = std::ranges::any_of(
      tasks, [](const AlignedTask& task) { return reported_score(task.any().task) != nullptr; });
  if (!any) return;
  notes.push_back(fmt::format(
      "The last columns are what the authors of the Evo paper ({}) report of their model of 8B "
      "parameters, as far as its public abstract page lists it. They were not measured here, and "
      "the page says neither how many worked examples were shown nor how answers were scored: a "
      "reference for orders of magnitude, with which no value here is compared.",
      kReportedSource));
}

void add_cuts(std::span<const EvalRun> runs, const ReportContent& content, Notes& notes) {
  for (size_t i = 0; i < runs.size(); ++i) {
    for (const TaskResult& task : runs[i].results.tasks) {
      if (task.cut == 0) continue;
      notes.push_back(fmt::format(
          "{}, {}: {} of {} contexts did not fit into the model and lost their beginning.",
          task.task, content.labels[i], count_text(task.cut), count_text(task.n)));
    }
  }
}

void add_pictures(const ReportContent& content, Notes& notes) {
  if (!content.reliability.empty()) {
    notes.emplace_back(
        "Expected calibration error (ECE): the mean over all predictions of the distance, in "
        "their bin, between what was predicted and what was observed. Confidence is the softmax "
        "over the log-likelihoods of the choices; maturity is the model's own probability that a "
        "draft will be kept. Whiskers are 95% intervals of the observed share (Wilson).");
  }
  if (!content.speed.empty()) {
    notes.emplace_back(
        "Tokens per forward pass count passes of the network, not time: a pass with more rows "
        "takes longer.");
  }
}

}  // namespace

std::vector<std::string> report_notes(std::span<const EvalRun> runs, const ReportContent& content,
                                      std::span<const AlignedTask> tasks) {
  Notes notes;
  add_statistics(runs, content, notes);
  add_bounds(runs, content, notes);
  add_comparability(runs, tasks, notes);
  add_reported(tasks, notes);
  add_cuts(runs, content, notes);
  add_pictures(content, notes);
  return notes;
}

}  // namespace evo::eval
