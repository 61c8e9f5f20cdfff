// What the answers in a folder of `evo eval tasks --out` are answers to: whoever goes on from there
// must ask the same.
#pragma once

#include <filesystem>
#include <span>

#include "eval/runner.h"

namespace evo::eval {

/// run.json of such a folder.
class RunIdentity {
 public:
  /// Begins the file with everything but the data that can change an answer: model, program and
  /// settings. If there is one already, throws Error that names what differs from it.
  RunIdentity(std::filesystem::path folder, const EvalModel& model, const EvalOptions& options);

  /// Adds a task: its version and all of its examples. Throws Error if the file has others of it.
  void add(const Task& task, const TaskOptions& options, std::span<const Example> examples);

 private:
  void require_same(const json::Record& before, const json::Record& now,
                    std::string_view what) const;

  std::filesystem::path folder_, file_;
  json::Record record_;
};

}  // namespace evo::eval
