// Small parts that tasks share.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "eval/task.h"

namespace evo::eval {

/// TaskOptions::limit over rows of several subtasks in any order.
class GroupLimit {
 public:
  explicit GroupLimit(const TaskOptions& options) : limit_(options.limit) {}

  /// False if as many of this group have been taken as may be.
  bool takes(const std::string& group) {
    int64_t& count = taken_[group];
    if (limit_ > 0 && count == limit_) return false;
    ++count;
    return true;
  }

 private:
  int64_t limit_;
  std::map<std::string, int64_t> taken_;
};

/// `text[:-1]` of Python: without the last character, which may be several bytes.
[[nodiscard]] inline std::string_view without_last_character(std::string_view text) {
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0u) == 0x80u) {
    text.remove_suffix(1);
  }
  if (!text.empty()) text.remove_suffix(1);
  return text;
}

/// 1 if the program passes in the sandbox, else 0. `evaluate`'s code_eval, which the harness uses,
/// gives a program 3 s; here these are of CPU time, so that a busy machine changes no score.
[[nodiscard]] double program_score(const std::string& program);

}  // namespace evo::eval
