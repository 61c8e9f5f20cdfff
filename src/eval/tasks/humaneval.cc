// HumanEval: functions completed from their docstrings, and holes of such functions filled.
#include <array>

#include "base/error.h"
#include "eval/tasks/choices.h"
#include "eval/tasks/families.h"
#include "eval/tasks/parts.h"
#include "eval/tasks/prompt.h"

namespace evo::eval {
namespace {

/// What a row says of how its function is tested.
std::string tests_of(const json::Record& row) {
  return fmt::format("{}\ncheck({})", row.get_string("test"), row.get_string("entry_point"));
}

TaskInfo humaneval_info() {
  TaskInfo info;
  info.name = "humaneval";
  info.version = "1.0";
  info.source = "lm-evaluation-harness 0.4.13, lm_eval/tasks/humaneval/humaneval.yaml";
  info.takes_shots = false;
  info.metrics = {{"pass@1"}};
  info.files = {"HumanEval.jsonl"};
  info.runs_programs = true;
  return info;
}

/// The program is prompt, completion and tests, as build_predictions() of the harness makes it and
/// code_eval joins it.
class HumanEvalTask : public Task {
 public:
  HumanEvalTask() : Task(humaneval_info()) {}

  std::vector<Example> load(const DataFolder& data, const TaskOptions& options) const override {
    const DataFile file =
        data.read({"HumanEval.jsonl", "humaneval/test.jsonl", "openai_humaneval/test.jsonl"});
    const std::vector<json::Record> rows = read_rows(file);
    const PromptWriter writer(options);
    std::vector<Example> examples(limited(rows.size(), options));
    for (size_t i = 0; i < examples.size(); ++i) {
      examples[i].id = rows[i].get_string("task_id");
      const std::string begin = rows[i].get_string("prompt");
      examples[i].prompt = writer.write({}, begin);
      examples[i].stop = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"};
      examples[i].max_tokens = 1024;
      examples[i].targets = {tests_of(rows[i]), begin};
    }
    return examples;
  }

  std::vector<double> grade(const Example& example, const Outcome& outcome) const override {
    return {program_score(example.targets.at(1) + outcome.text + "\n" + example.targets.at(0))};
  }
};

struct InfillingPart {
  std::string_view group, file;
};

constexpr std::array<InfillingPart, 4> kInfillingParts = {
    {{"single-line", "HumanEval-SingleLineInfilling.jsonl"},
     {"multi-line", "HumanEval-MultiLineInfilling.jsonl"},
     {"random-span", "HumanEval-RandomSpanInfilling.jsonl"},
     {"random-span-light", "HumanEval-RandomSpanInfillingLight.jsonl"}}};

TaskInfo infilling_info() {
  TaskInfo info;
  info.name = "humaneval_infilling";
  info.version = "1.0";
  info.source =
      "Bavarian et al. 2022, \"Efficient training of language models to fill in the middle\"; "
      "openai/human-eval-infilling, human_eval_infilling/execution.py";
  info.takes_shots = false;
  info.metrics = {{"pass@1"}};
  for (const InfillingPart& part : kInfillingParts) info.files.emplace_back(part.file);
  info.runs_programs = true;
  return info;
}

/// lm-evaluation-harness has no such task; programs are joined as check_correctness() of the
/// benchmark's own repository does. The text between prompt and suffix ends where the model says
/// that it is complete, so that there are no stop strings.
class InfillingTask : public Task {
 public:
  InfillingTask() : Task(infilling_info()) {}

  std::vector<Example> load(const DataFolder& data, const TaskOptions& options) const override {
    if (options.chat) {
      fail("{}: its gaps are inside of a program, which a chat template has no place for",
           info().name);
    }
    std::vector<Example> examples;
    for (const InfillingPart& part : kInfillingParts) {
      const std::vector<json::Record> rows = read_rows(data.read({std::string(part.file)}));
      for (size_t i = 0; i < limited(rows.size(), options); ++i) {
        examples.push_back(example_of(rows[i], part.group));
      }
    }
    return examples;
  }

  std::vector<double> grade(const Example& example, const Outcome& outcome) const override {
    return {program_score(example.prompt + outcome.text + example.suffix + "\n" +
                          example.targets.at(0))};
  }

 private:
  static Example example_of(const json::Record& row, std::string_view group) {
    Example example;
    example.id = row.get_string("task_id");
    example.group = group;
    example.prompt = row.get_string("prompt");
    example.suffix = row.get_string("suffix");
    example.max_tokens = 256;  // more than nearly all of the removed spans
    example.targets = {tests_of(row)};
    return example;
  }
};

}  // namespace

void add_humaneval_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  tasks.push_back(std::make_unique<HumanEvalTask>());
  tasks.push_back(std::make_unique<InfillingTask>());
}

}  // namespace evo::eval
