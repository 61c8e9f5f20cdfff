// What became of the examples of a task, as JSON lines: for people to look at, and for a run to go
// on from.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "eval/asker.h"
#include "eval/task.h"

namespace evo::eval {

struct ExampleResult {
  Answer answer;
  std::vector<double> scores;  ///< one per metric
};

class ExampleFile {
 public:
  /// `path` empty: nothing is kept. What is there already must be of the first of `examples`, in
  /// order; throws Error if it is of others. An unfinished last line is dropped.
  ExampleFile(std::filesystem::path path, std::span<const Example> examples, size_t metrics);

  [[nodiscard]] const std::vector<ExampleResult>& results() const { return results_; }
  /// Of the next examples; on disk when it returns.
  void append(std::vector<ExampleResult> results);

 private:
  void read();

  std::filesystem::path path_;
  std::span<const Example> examples_;
  size_t metrics_;
  std::vector<ExampleResult> results_;
};

}  // namespace evo::eval
