// BIG-Bench Hard: 27 subtasks, answered after a chain of thought, with three worked examples each.
#include <array>

#include "base/error.h"
#include "eval/data/python_text.h"
#include "eval/tasks/choices.h"
#include "eval/tasks/families.h"
#include "eval/tasks/parts.h"
#include "eval/tasks/shots.h"

namespace evo::eval {
namespace {

constexpr std::array<std::string_view, 27> kSubtasks = {"boolean_expressions",
                                                        "causal_judgement",
                                                        "date_understanding",
                                                        "disambiguation_qa",
                                                        "dyck_languages",
                                                        "formal_fallacies",
                                                        "geometric_shapes",
                                                        "hyperbaton",
                                                        "logical_deduction_five_objects",
                                                        "logical_deduction_seven_objects",
                                                        "logical_deduction_three_objects",
                                                        "movie_recommendation",
                                                        "multistep_arithmetic_two",
                                                        "navigate",
                                                        "object_counting",
                                                        "penguins_in_a_table",
                                                        "reasoning_about_colored_objects",
                                                        "ruin_names",
                                                        "salient_translation_error_detection",
                                                        "snarks",
                                                        "sports_understanding",
                                                        "temporal_sequences",
                                                        "tracking_shuffled_objects_five_objects",
                                                        "tracking_shuffled_objects_seven_objects",
                                                        "tracking_shuffled_objects_three_objects",
                                                        "web_of_lies",
                                                        "word_sorting"};

constexpr int kShots = 3;
constexpr std::string_view kThought = "Let's think step by step.";

std::string asked(std::string_view question) {
  return fmt::format("Q: {}\nA: {}\n", question, kThought);
}

/// Takes the part up to `mark` out of `text`, and the mark too.
std::string_view take_until(std::string_view& text, std::string_view mark, const DataFile& file) {
  const size_t end = text.find(mark);
  if (end == std::string_view::npos) {
    fail(
        "{}: expected a line \"-----\", a description, and behind empty lines {} examples with "
        "lines "
        "\"Q: ...\" and \"A: {} ...\"; the file ends before that",
        file.name, kShots, kThought);
  }
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(end + mark.size());
  return taken;
}

struct CotPrompt {
  std::string description;
  std::vector<Shot> shots;
};

/// A file of cot-prompts as the harness has its parts, whose targets do not begin with the phrase
/// that the question ends in.
CotPrompt parse_prompt(const DataFile& file) {
  std::string_view rest = file.text;
  while (rest.ends_with('\n')) rest.remove_suffix(1);
  take_until(rest, "-----\n", file);
  CotPrompt prompt{fmt::format("{}\n\n", take_until(rest, "\n\nQ: ", file)), {}};
  for (int shot = 1; shot <= kShots; ++shot) {
    const std::string_view question = take_until(rest, "\nA: ", file);
    const std::string_view target = shot < kShots ? take_until(rest, "\n\nQ: ", file) : rest;
    if (!target.starts_with(kThought)) {
      fail("{}: expected \"A: {}\" in example {}, found \"A: {}\"", file.name, kThought, shot,
           target.substr(0, target.find('\n')));
    }
    prompt.shots.push_back({asked(question), std::string(strip(target.substr(kThought.size())))});
  }
  return prompt;
}

/// The examples of a file of the original release, which is one object, or of rows.
std::vector<json::Record> read_examples(const DataFile& file) {
  if (file.text.find("\"examples\"") < file.text.find("\"input\"")) {
    return json::Record::parse(file.text, file.name).get_records("examples");
  }
  return read_rows(file);
}

/// The first match of `(?<=the answer is )(.*)(?=.)`: the rest of the line but its last character.
std::string extracted_answer(std::string_view text) {
  constexpr std::string_view kMark = "the answer is ";
  for (size_t at = text.find(kMark); at != std::string_view::npos; at = text.find(kMark, at + 1)) {
    std::string_view line = text.substr(at + kMark.size());
    line = line.substr(0, line.find('\n'));
    if (!line.empty()) return std::string(strip(without_last_character(line)));
  }
  return "[invalid]";
}

TaskInfo bbh_info() {
  TaskInfo info;
  info.name = "bbh";
  info.version = "4.0";
  info.source = "lm-evaluation-harness 0.4.13, lm_eval/tasks/bbh/cot_fewshot";
  info.shots = kShots;
  info.metrics = {{"exact_match,get-answer"}};
  info.files = {"bbh/boolean_expressions.json ... bbh/word_sorting.json",
                "cot-prompts/boolean_expressions.txt ... cot-prompts/word_sorting.txt"};
  return info;
}

class BbhTask : public Task {
 public:
  BbhTask() : Task(bbh_info()) {}

  std::vector<Example> load(const DataFolder& data, const TaskOptions& options) const override {
    std::vector<Example> examples;
    for (const std::string_view subtask : kSubtasks) add_subtask(subtask, data, options, examples);
    return examples;
  }

  std::vector<double> grade(const Example& example, const Outcome& outcome) const override {
    return {extracted_answer(outcome.text) == example.targets.at(0) ? 1.0 : 0.0};
  }

 private:
  void add_subtask(std::string_view subtask, const DataFolder& data, const TaskOptions& options,
                   std::vector<Example>& examples) const {
    CotPrompt prompt = parse_prompt(data.read({fmt::format("cot-prompts/{}.txt", subtask)}));
    const PromptWriter writer(options, prompt.description, "");
    const std::vector<Shot> shots = first_shots(*this, options, std::move(prompt.shots));
    const DataFile file =
        data.read({fmt::format("bbh/{}.json", subtask), fmt::format("bbh/{}/test.jsonl", subtask),
                   fmt::format("bbh/{}.jsonl", subtask)});
    const std::vector<json::Record> rows = read_examples(file);
    for (size_t i = 0; i < limited(rows.size(), options); ++i) {
      Example example;
      example.id = fmt::format("{}/{}", subtask, i);
      example.group = subtask;
      example.prompt = writer.write(shots, asked(rows[i].get_string("input")));
      example.stop = {"</s>", "Q", "\n\n"};
      example.max_tokens = 1024;
      example.targets = {rows[i].get_string("target")};
      examples.push_back(std::move(example));
    }
  }
};

}  // namespace

void add_bbh_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  tasks.push_back(std::make_unique<BbhTask>());
}

}  // namespace evo::eval
