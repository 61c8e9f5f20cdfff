// HellaSwag (Zellers et al. 2019, "HellaSwag: Can a machine really finish your sentence?"), its
// validation split.
#include "base/error.h"
#include "eval/data/python_text.h"
#include "eval/tasks/choices.h"
#include "eval/tasks/families.h"
#include "eval/tasks/markup.h"
#include "eval/tasks/shots.h"

namespace evo::eval {
namespace {

constexpr size_t kEndings = 4;

struct Question {
  std::string query;
  std::vector<std::string> endings;
  int64_t gold = 0;
};

int64_t parse_label(std::string_view label, std::string_view source) {
  constexpr std::string_view kLabels = "0123";
  const size_t index = label.size() == 1 ? kLabels.find(label) : std::string_view::npos;
  if (index == std::string_view::npos) {
    fail("{}: expected a label of 0 to 3, found \"{}\"", source, label);
  }
  return static_cast<int64_t>(index);
}

/// Hugging Face's labels are texts, the original ones numbers.
std::string label_of(const json::Record& row) {
  try {
    return row.get_string("label");
  } catch (const Error&) {
    return fmt::format("{}", row.get_int("label"));
  }
}

Question from_row(const json::Record& row) {
  const std::string context = row.get_string("ctx_a") + " " + capitalized(row.get_string("ctx_b"));
  Question question{without_markup(row.get_string("activity_label") + ": " + context),
                    {},
                    parse_label(label_of(row), row.source())};
  for (const std::string& ending : row.get_strings("endings")) {
    question.endings.push_back(without_markup(ending));
  }
  if (question.endings.size() != kEndings) {
    fail("{}: expected {} endings, found {}", row.source(), kEndings, question.endings.size());
  }
  return question;
}

/// Where the unfinished sentence (the field "ctx_b" of rows) begins: behind the last end of a
/// sentence, if it goes on in lower case.
size_t unfinished_sentence(std::string_view query) {
  size_t begin = std::string_view::npos;
  for (size_t i = 0; i < query.size(); ++i) {
    if (query[i] != '.' && query[i] != '!' && query[i] != '?') continue;
    const size_t next = std::min(query.find_first_not_of("\"')", i + 1), query.size());
    if (next < query.size() && query[next] == ' ') begin = next + 1;
  }
  const bool lower = begin < query.size() && query[begin] >= 'a' && query[begin] <= 'z';
  return lower ? begin : query.size();
}

/// Six lines per question: query, label, endings. Markup was removed from them as the harness does,
/// but for capital letters, and for a space where markup stood at the beginning of an ending (in 1
/// of 70 endings), which the file does not tell.
std::vector<Question> from_lines(const DataFile& file) {
  const std::vector<std::string_view> lines = lines_of(file.text);
  constexpr size_t kLines = 2 + kEndings;
  if (lines.empty() || lines.size() % kLines != 0) {
    fail("{}: expected {} lines per question, found {} lines in all; is the file cut short?",
         file.name, kLines, lines.size());
  }
  std::vector<Question> questions;
  for (size_t i = 0; i < lines.size(); i += kLines) {
    const size_t begin = unfinished_sentence(lines[i]);
    const std::string query =
        fmt::format("{}{}", lines[i].substr(0, begin), capitalized(lines[i].substr(begin)));
    questions.push_back({query,
                         {lines.begin() + static_cast<std::ptrdiff_t>(i) + 2,
                          lines.begin() + static_cast<std::ptrdiff_t>(i + kLines)},
                         parse_label(lines[i + 1], fmt::format("{}:{}", file.name, i + 2))});
  }
  return questions;
}

std::vector<Question> read_questions(const DataFile& file) {
  if (without_compression(file.name).ends_with(".txt")) return from_lines(file);
  std::vector<Question> questions;
  for (const json::Record& row : json_rows(file)) questions.push_back(from_row(row));
  return questions;
}

/// Equal for equal questions.
std::string key_of(const Question& question) {
  return fmt::format("{}\n{}\n{}", question.query, fmt::join(question.endings, "\n"),
                     question.gold);
}

std::vector<ShotSampler::Document> shots_of(const DataFile& file) {
  std::vector<ShotSampler::Document> shots;
  for (const Question& question : read_questions(file)) {
    const std::string& ending = question.endings[static_cast<size_t>(question.gold)];
    shots.push_back({key_of(question), {question.query, ending}});
  }
  return shots;
}

std::vector<Example> load(const Task& task, const DataFile& file, const DataFolder& data,
                          const TaskOptions& options) {
  const std::vector<Question> questions = read_questions(file);
  const PromptWriter writer(options);
  ShotSampler sampler = random_shots(task.shots(options),
                                     data.find({"hellaswag/train.jsonl", "hellaswag_train.jsonl"}),
                                     ShotSampler::Draw::kRandomOther, file, shots_of);
  std::vector<Example> examples;
  for (size_t i = 0; i < limited(questions.size(), options); ++i) {
    Example& example = examples.emplace_back();
    example.id = fmt::format("{}", i);
    example.choices =
        after_context(writer.write(sampler.next(key_of(questions[i])), questions[i].query),
                      questions[i].endings, writer.before_choice());
    example.gold = questions[i].gold;
  }
  return examples;
}

}  // namespace

void add_hellaswag_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  TaskInfo info;
  info.name = "hellaswag";
  info.version = "1.0";
  info.source = "lm-evaluation-harness 0.4.13: lm_eval/tasks/hellaswag/hellaswag.yaml";
  info.metrics = {{.name = "acc_norm", .chance = 0.25}, {.name = "acc", .chance = 0.25}};
  // Whole files first, then ones of every second question.
  info.files = {"hellaswag/validation.jsonl", "hellaswag_val.jsonl", "hellaswag_val_full.txt",
                "hellaswag_val_full.even.txt", "hellaswag.even.jsonl"};
  tasks.push_back(std::make_unique<ChoiceTask>(std::move(info), load));
}

}  // namespace evo::eval
