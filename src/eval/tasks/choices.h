// What the tasks of multiple choice share: how choices are put and how they are graded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "eval/task.h"

namespace evo::eval {

/// Each choice after the same context, `delimiter` between them: PromptWriter::before_choice().
[[nodiscard]] std::vector<Continuation> after_context(std::string_view context,
                                                      const std::vector<std::string>& choices,
                                                      std::string_view delimiter);

/// A task whose examples have one right choice. Its metrics are "acc", whether the likeliest choice
/// is the right one, and "acc_norm", the same of the log-likelihood per character of the choice.
class ChoiceTask : public Task {
 public:
  /// Makes examples of the file that was found; others may be in `data`.
  using Loader = std::vector<Example> (*)(const Task& task, const DataFile& file,
                                          const DataFolder& data, const TaskOptions& options);

  ChoiceTask(TaskInfo info, Loader loader) : Task(std::move(info)), loader_(loader) {}

  [[nodiscard]] std::vector<Example> load(const DataFolder& data,
                                          const TaskOptions& options) const override {
    return loader_(*this, data.read(info().files), data, options);
  }
  [[nodiscard]] std::vector<double> grade(const Example& example,
                                          const Outcome& outcome) const override;

 private:
  Loader loader_;
};

/// The scores that ChoiceTask gives, for tasks of other classes.
[[nodiscard]] std::vector<double> grade_choices(const std::vector<Metric>& metrics,
                                                const Example& example, const Outcome& outcome);

/// Throws Error if the model's log-likelihoods are not as many numbers as there are choices.
void expect_likelihoods(const Example& example, const Outcome& outcome);

/// How many of `rows` are taken.
[[nodiscard]] size_t limited(size_t rows, const TaskOptions& options);

}  // namespace evo::eval
