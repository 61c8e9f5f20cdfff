// How description, worked examples and question become a prompt: a text or a conversation.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "eval/task.h"

namespace evo::eval {

/// A worked example.
struct Shot {
  std::string question, answer;
};

/// As lm-evaluation-harness 0.4.13 does it (lm_eval/api/task.py, fewshot_context()): a text has all
/// parts one behind the other; in a conversation the description is what the system says.
class PromptWriter {
 public:
  /// `delimiter` stands between question and answer, `description` before everything.
  explicit PromptWriter(const TaskOptions& options, std::string description = {},
                        std::string delimiter = " ")
      : options_(options), description_(std::move(description)), delimiter_(std::move(delimiter)) {}

  /// Ends where the answer begins, or the delimiter before it.
  [[nodiscard]] std::string write(std::span<const Shot> shots, std::string_view question) const;

  /// What a choice after write() begins with: nothing in a conversation.
  [[nodiscard]] std::string_view before_choice() const {
    return options_.chat ? std::string_view() : delimiter_;
  }

 private:
  [[nodiscard]] std::string text(std::span<const Shot> shots, std::string_view question) const;

  const TaskOptions& options_;
  std::string description_, delimiter_;
};

}  // namespace evo::eval
