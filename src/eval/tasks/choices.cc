#include "eval/tasks/choices.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "eval/data/python_text.h"

namespace evo::eval {
namespace {

/// The first of the largest, as numpy.argmax.
int64_t argmax(const std::vector<double>& values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

std::vector<double> normalised(const std::vector<double>& log_likelihood,
                               const std::vector<Continuation>& choices) {
  std::vector<double> result;
  for (size_t i = 0; i < choices.size(); ++i) {
    result.push_back(log_likelihood[i] / static_cast<double>(choices[i].characters));
  }
  return result;
}

}  // namespace

std::vector<Continuation> after_context(std::string_view context,
                                        const std::vector<std::string>& choices,
                                        std::string_view delimiter) {
  std::vector<Continuation> result;
  result.reserve(choices.size());
  for (const std::string& choice : choices) {
    result.push_back(
        {std::string(context), std::string(delimiter) + choice, character_count(choice)});
  }
  return result;
}

std::vector<double> ChoiceTask::grade(const Example& example, const Outcome& outcome) const {
  return grade_choices(info().metrics, example, outcome);
}

std::vector<double> grade_choices(const std::vector<Metric>& metrics, const Example& example,
                                  const Outcome& outcome) {
  expect_likelihoods(example, outcome);
  std::vector<double> scores;
  for (const Metric& metric : metrics) {
    EVO_CHECK(metric.name == "acc" || metric.name == "acc_norm");
    const int64_t chosen = metric.name == "acc"
                               ? argmax(outcome.log_likelihood)
                               : argmax(normalised(outcome.log_likelihood, example.choices));
    scores.push_back(chosen == example.gold ? 1 : 0);
  }
  return scores;
}

void expect_likelihoods(const Example& example, const Outcome& outcome) {
  EVO_CHECK(outcome.log_likelihood.size() == example.choices.size());
  for (const double value : outcome.log_likelihood) {
    if (std::isnan(value)) {
      fail(
          "example {}: the model's log-likelihood of a choice is not a number; its weights or the "
          "way they were converted are damaged",
          example.id);
    }
  }
}

size_t limited(size_t rows, const TaskOptions& options) {
  return options.limit > 0 ? std::min(rows, static_cast<size_t>(options.limit)) : rows;
}

}  // namespace evo::eval
