// Exams of many subjects, each with questions of four options A to D: MMLU and its Chinese
// relatives.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/task.h"
#include "eval/tasks/prompt.h"

namespace evo::eval {

struct ExamQuestion {
  std::string text;
  std::array<std::string, 4> options;
  int64_t answer = 0;  ///< index of the right option
};

struct Exam {
  struct Subject {
    std::string_view key;   ///< in the names of files, and the group of examples
    std::string_view name;  ///< in the description; empty: the key, with spaces
  };
  std::span<const Subject> subjects;
  std::string_view description;    ///< "{}" stands for the subject's name
  std::string_view answer_prompt;  ///< after the options
  std::string_view shot_split, test_split;
  /// Candidates, in which "SUBJECT" and "SPLIT" stand for themselves.
  std::vector<std::string> files;
  std::vector<std::string> columns;  ///< of a .csv file, if its first line does not name them
  ExamQuestion (*parse)(const json::Record& row);
};

/// Reads the row's options "A" to "D" and the letter in `answer`.
[[nodiscard]] ExamQuestion lettered_question(const json::Record& row, std::string_view question,
                                             std::string_view answer);

/// Every question after the description and the first questions of the shot split.
class ExamTask : public Task {
 public:
  ExamTask(TaskInfo info, Exam exam);

  [[nodiscard]] const Exam& exam() const { return exam_; }
  [[nodiscard]] std::vector<Example> load(const DataFolder& data,
                                          const TaskOptions& options) const override;
  [[nodiscard]] std::vector<double> grade(const Example& example,
                                          const Outcome& outcome) const override;

 private:
  [[nodiscard]] std::vector<json::Record> rows(const DataFolder& data, const Exam::Subject& subject,
                                               std::string_view split) const;
  [[nodiscard]] std::vector<Shot> first_questions(const DataFolder& data,
                                                  const Exam::Subject& subject,
                                                  int64_t count) const;
  [[nodiscard]] std::string prompt(const ExamQuestion& question) const;

  Exam exam_;
};

}  // namespace evo::eval
