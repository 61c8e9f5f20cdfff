// What the tests of tasks share.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/testing.h"
#include "eval/task.h"

namespace evo::eval::testing {
using namespace evo::testing;

inline const Task& task_named(std::string_view name) {
  return *find_tasks(name).at(0);
}

/// A folder of data in which a test writes what a task reads.
class TaskData {
 public:
  void write(std::string_view name, std::string_view text) const {
    const std::filesystem::path path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    write_bytes(path, text);
  }
  [[nodiscard]] std::vector<Example> load(std::string_view task,
                                          const TaskOptions& options = {}) const {
    return task_named(task).load(DataFolder(folder_.path()), options);
  }
  /// load() throws Error, of any kind, with all of `parts` in its message.
  void expect_load_error(std::string_view task, std::initializer_list<std::string_view> parts,
                         const TaskOptions& options = {}) const {
    std::string message = "no Error";
    try {
      static_cast<void>(load(task, options));
    } catch (const Error& error) {
      message = error.what();
    }
    for (const std::string_view part : parts) {
      EXPECT_NE(message.find(part), std::string::npos) << "no \"" << part << "\" in: " << message;
    }
  }

 private:
  TemporaryFolder folder_;
};

/// The task's scores if the model gives these log-likelihoods.
inline std::vector<double> scores(std::string_view task, const Example& example,
                                  std::vector<double> log_likelihood) {
  Outcome outcome;
  outcome.greedy.assign(log_likelihood.size(), 0);
  outcome.log_likelihood = std::move(log_likelihood);
  return task_named(task).grade(example, outcome);
}

/// What is scored, context and continuation together, for tests of whole prompts.
inline std::string scored_text(const Example& example, size_t choice) {
  return example.choices.at(choice).context + "|" + example.choices.at(choice).text;
}

/// The benchmarks of $EVO_SHARED_DATA, or else of ../shared/data beside the source tree; nothing if
/// there are none.
inline std::optional<DataFolder> shared_benchmarks() {
  const char* const chosen = std::getenv("EVO_SHARED_DATA");
  const std::filesystem::path here(__FILE__);
  const std::filesystem::path data = chosen != nullptr
                                         ? std::filesystem::path(chosen)
                                         : here.parent_path() / "../../../../shared/data";
  std::error_code error;
  if (!std::filesystem::is_directory(data / "benchmarks", error)) return std::nullopt;
  return DataFolder(data / "benchmarks");
}

}  // namespace evo::eval::testing
