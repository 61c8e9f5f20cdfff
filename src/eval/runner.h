// Runs tasks on a model, in pieces that can be taken up again, and sums up what came of them.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "eval/asker.h"
#include "eval/results.h"
#include "eval/task.h"

namespace evo::eval {

struct EvalModel {
  const model::Model& model;
  const tokenizer::Tokenizer& tokenizer;
  std::string name;
  std::string fingerprint;  ///< of the weights
  std::string precision, program;
  std::string files = {};  ///< of what else its folder has that can change an answer
};

struct EvalOptions {
  AskOptions ask;
  TaskOptions task;
  /// Folder for what is learnt about every example (examples/TASK.jsonl), from which an interrupted
  /// run goes on, for traces, and for results.json; empty: nothing is kept.
  std::filesystem::path out;
  bool skip_missing = false;  ///< leave out tasks whose files are not there, with a warning
  bool quiet = false;
};

/// Throws Error if `out` holds a run of another model, other settings or other data; on interrupt,
/// with what was done so far in `out`.
EvalResults evaluate(const EvalModel& model, const DataFolder& data,
                     std::span<const Task* const> tasks, const EvalOptions& options);

}  // namespace evo::eval
