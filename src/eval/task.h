// A benchmark: files become examples, and what a model made of an example becomes scores.
//
//   DataFolder --load--> Example --runner: a model--> Outcome --grade--> one score per metric
//
// Tasks know nothing of models; the runner (runner.h) knows nothing of benchmarks. Prompts, choice
// of shots and normalisation follow lm-evaluation-harness 0.4.13, whose file and version each task
// cites.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/data/data_folder.h"
#include "text/chat_message.h"

namespace evo::eval {

/// A text whose probability after another one is asked for.
struct Continuation {
  std::string context, text;
  int64_t characters = 0;  ///< of the choice, by which "acc_norm" divides
};

/// What is put to a model: continuations to be scored, or a text to be generated; not both.
struct Example {
  std::string id;     ///< unique in its task and the same in every run: "abstract_algebra/17"
  std::string group;  ///< the subtask, which reports list; empty: the task has none

  std::vector<Continuation> choices;

  std::string prompt;
  std::string suffix;             ///< what follows the gap, if the task is one of infilling
  std::vector<std::string> stop;  ///< generation ends before the first of these
  int64_t max_tokens = 0;         ///< generated at most

  /// What grading needs and the model does not see.
  int64_t gold = -1;                 ///< index of the right choice
  std::vector<double> labels;        ///< per choice, for tasks with several right ones
  std::vector<std::string> targets;  ///< accepted answers, or what the task's grade() wants
};

/// What a model made of an example.
struct Outcome {
  std::vector<double> log_likelihood;  ///< nats, per choice
  std::vector<uint8_t> greedy;         ///< per choice: the model's own greedy continuation
  std::string text;                    ///< generated, without the stop string
};

struct Metric {
  enum class Mean {
    kArithmetic,
    kPerplexity  ///< exp of minus the mean of the scores, which are log-likelihoods
  };
  std::string name;  ///< "acc", "acc_norm", "exact_match,flexible-extract", "pass@1" ...
  Mean mean = Mean::kArithmetic;
  double chance = 0;  ///< expected of guessing, where that is known
};

struct TaskInfo {
  std::string name;  ///< as lm-evaluation-harness calls it
  std::string version;
  std::string source;              ///< the harness's file, or the paper, that is followed
  int shots = 0;                   ///< worked examples before a question, if TaskOptions do not say
  bool takes_shots = true;         ///< false: TaskOptions do not change how many there are
  std::vector<Metric> metrics;     ///< the first is the one that summaries show
  std::vector<std::string> files;  ///< what load() looks for, for people
  bool runs_programs = false;      ///< grade() executes what the model wrote, in a sandbox
};

struct TaskOptions {
  /// Examples at most; 0: all. Of a task with subtasks, of each of them as many, so that none is
  /// left out; the order is that of the files.
  int64_t limit = 0;
  /// Worked examples before a question; nothing: as many as the task has by itself.
  std::optional<int64_t> shots = {};
  /// Writes prompts as conversations, up to where the assistant begins to speak; empty: prompts are
  /// plain texts.
  std::function<std::string(std::span<const text::ChatMessage>)> chat = {};
  /// In a conversation every worked example is a turn of user and assistant; else they stand before
  /// the question, in the user's only message.
  bool shots_are_turns = true;
};

class Task {
 public:
  explicit Task(TaskInfo info) : info_(std::move(info)) {}
  virtual ~Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  [[nodiscard]] const TaskInfo& info() const { return info_; }
  /// Worked examples before each question.
  [[nodiscard]] int64_t shots(const TaskOptions& options) const {
    return info_.takes_shots ? options.shots.value_or(info_.shots) : info_.shots;
  }
  /// Throws Error that says which file was looked for, or what is wrong in which line of it.
  [[nodiscard]] virtual std::vector<Example> load(const DataFolder& data,
                                                  const TaskOptions& options) const = 0;
  /// One score per metric. May be called by several threads at a time.
  [[nodiscard]] virtual std::vector<double> grade(const Example& example,
                                                  const Outcome& outcome) const = 0;

 private:
  TaskInfo info_;
};

/// All tasks in the order in which they are listed.
[[nodiscard]] const std::vector<std::unique_ptr<Task>>& all_tasks();
/// Of a name, or of a list "a,b" or "all"; throws UsageError that lists the names.
[[nodiscard]] std::vector<const Task*> find_tasks(std::string_view names);

}  // namespace evo::eval
