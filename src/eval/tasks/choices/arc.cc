// ARC-Challenge (Clark et al. 2018, "Think you have solved question answering?").
#include <algorithm>

#include "base/error.h"
#include "eval/tasks/choices.h"
#include "eval/tasks/families.h"
#include "eval/tasks/shots.h"

namespace evo::eval {
namespace {

struct Question {
  std::string text;
  std::vector<std::string> choices, labels;
};

std::string asked(const Question& question) {
  return fmt::format("Question: {}\nAnswer:", question.text);
}

/// Hugging Face's rows have lists of texts and of labels, the original ones a list of choices.
Question parse(const json::Record& row) {
  if (row.has("choices")) {
    const json::Record choices = row.get_record("choices");
    return {row.get_string("question"), choices.get_strings("text"), choices.get_strings("label")};
  }
  const json::Record question = row.get_record("question");
  Question result{question.get_string("stem"), {}, {}};
  for (const json::Record& choice : question.get_records("choices")) {
    result.choices.push_back(choice.get_string("text"));
    result.labels.push_back(choice.get_string("label"));
  }
  return result;
}

int64_t index_of_answer(const Question& question, const json::Record& row) {
  const std::string answer = row.get_string("answerKey");
  const auto found = std::find(question.labels.begin(), question.labels.end(), answer);
  if (found == question.labels.end() || question.labels.size() != question.choices.size()) {
    fail(
        "{}: expected choices with labels of which \"answerKey\" is one, found {} choices, {} "
        "labels and the key \"{}\"",
        row.source(), question.choices.size(), question.labels.size(), answer);
  }
  return found - question.labels.begin();
}

std::vector<ShotSampler::Document> shots_of(const DataFile& file) {
  std::vector<ShotSampler::Document> shots;
  for (const json::Record& row : read_rows(file)) {
    const Question question = parse(row);
    shots.push_back(
        {row.dump(), {asked(question), question.choices[index_of_answer(question, row)]}});
  }
  return shots;
}

std::vector<Example> load(const Task& task, const DataFile& file, const DataFolder& data,
                          const TaskOptions& options) {
  const std::vector<json::Record> rows = read_rows(file);
  const PromptWriter writer(options);
  ShotSampler sampler =
      random_shots(task.shots(options),
                   data.find({"ARC-Challenge/train.jsonl", "arc_challenge/train.jsonl",
                              "ARC-Challenge-Train.jsonl", "ARC-Challenge/validation.jsonl",
                              "arc_challenge/validation.jsonl", "ARC-Challenge-Dev.jsonl"}),
                   ShotSampler::Draw::kRandom, file, shots_of);
  std::vector<Example> examples;
  for (size_t i = 0; i < limited(rows.size(), options); ++i) {
    const Question question = parse(rows[i]);
    Example& example = examples.emplace_back();
    example.id = fmt::format("{}", i);
    example.choices = after_context(writer.write(sampler.next(rows[i].dump()), asked(question)),
                                    question.choices, writer.before_choice());
    example.gold = index_of_answer(question, rows[i]);
  }
  return examples;
}

}  // namespace

void add_arc_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  TaskInfo info;
  info.name = "arc_challenge";
  info.version = "1.0";
  info.source =
      "lm-evaluation-harness 0.4.13: lm_eval/tasks/arc/arc_challenge.yaml, which includes "
      "arc_easy.yaml";
  info.metrics = {{.name = "acc_norm", .chance = 0.25}, {.name = "acc", .chance = 0.25}};
  // The last of the original names is what there is of the test split in some collections.
  info.files = {"ARC-Challenge/test.jsonl", "arc_challenge/test.jsonl", "ARC-Challenge-Test.jsonl",
                "ARC-Challenge-Test.first-half.jsonl"};
  tasks.push_back(std::make_unique<ChoiceTask>(std::move(info), load));
}

}  // namespace evo::eval
