// GPQA (Rein et al. 2023, "GPQA: A graduate-level Google-proof Q&A benchmark"), its main set.
#include <algorithm>
#include <array>

#include "eval/data/python_random.h"
#include "eval/data/python_text.h"
#include "eval/tasks/choices.h"
#include "eval/tasks/families.h"
#include "eval/tasks/shots.h"

namespace evo::eval {
namespace {

constexpr uint32_t kShuffleSeed = 42;
constexpr const char* kDescription =
    "Here are some example questions from experts. Answer the final question yourself, following "
    "the format of the previous questions exactly.\n";
constexpr std::array<const char*, 4> kNames = {"(A)", "(B)", "(C)", "(D)"};

struct Question {
  std::string prompt;
  size_t answer = 0;  // index in kNames
  std::string key;    // equal for equal rows
};

std::string answer_text(const json::Record& row, std::string_view field) {
  // A value that is missing is empty in a .csv file, and what Python calls None.
  if (row.is_null(field) || row.get_string(field).empty()) return " ";
  const std::string text = replaced(strip(row.get_string(field)), " [title]", ". ");
  return replaced(text, "  ", " ");
}

/// The answers are shuffled by one generator that goes on from question to question. (The harness
/// shuffles again whenever it reads the rows, but from its second run on it gets the first result
/// from the cache of `datasets`; only in the very first run is the order another one.)
Question parse(const json::Record& row, PythonRandom& random) {
  const std::string right = answer_text(row, "Correct Answer");
  std::vector<std::string> answers;
  for (const char* const field :
       {"Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"}) {
    answers.push_back(answer_text(row, field));
  }
  answers.push_back(right);
  random.shuffle(answers);
  Question question;
  question.prompt = fmt::format("Question: {}\nChoices:\n", row.get_string("Question"));
  for (size_t i = 0; i < answers.size(); ++i) {
    question.prompt += fmt::format("{} {}\n", kNames[i], answers[i]);
  }
  question.prompt += "Answer:";
  question.answer =
      static_cast<size_t>(std::find(answers.begin(), answers.end(), right) - answers.begin());
  question.key = row.dump();
  return question;
}

std::vector<Question> read_questions(const DataFile& file) {
  PythonRandom random(kShuffleSeed);
  std::vector<Question> questions;
  for (const json::Record& row : read_rows(file)) questions.push_back(parse(row, random));
  return questions;
}

std::vector<ShotSampler::Document> shots_of(const DataFile& file) {
  std::vector<ShotSampler::Document> shots;
  for (const Question& question : read_questions(file)) {
    shots.push_back({question.key, {question.prompt, kNames[question.answer]}});
  }
  return shots;
}

std::vector<Example> load(const Task& task, const DataFile& file, const DataFolder& /*data*/,
                          const TaskOptions& options) {
  const std::vector<Question> questions = read_questions(file);
  const PromptWriter writer(options, kDescription);
  ShotSampler sampler = random_shots(task.shots(options), std::nullopt,
                                     ShotSampler::Draw::kRandomOther, file, shots_of);
  std::vector<Example> examples;
  for (size_t i = 0; i < limited(questions.size(), options); ++i) {
    Example& example = examples.emplace_back();
    example.id = fmt::format("{}", i);
    example.choices =
        after_context(writer.write(sampler.next(questions[i].key), questions[i].prompt),
                      {kNames.begin(), kNames.end()}, writer.before_choice());
    example.gold = static_cast<int64_t>(questions[i].answer);
  }
  return examples;
}

}  // namespace

void add_gpqa_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  TaskInfo info;
  info.name = "gpqa_main_n_shot";
  info.version = "2.2";
  info.source =
      "lm-evaluation-harness 0.4.13: lm_eval/tasks/gpqa/n_shot/_gpqa_n_shot_yaml and utils.py";
  info.metrics = {{.name = "acc", .chance = 0.25}, {.name = "acc_norm", .chance = 0.25}};
  // Hugging Face has one split, "train", which is evaluated.
  info.files = {"gpqa_main.csv", "gpqa_main/train.jsonl", "gpqa_main.jsonl", "gpqa/train.jsonl"};
  tasks.push_back(std::make_unique<ChoiceTask>(std::move(info), load));
}

}  // namespace evo::eval
