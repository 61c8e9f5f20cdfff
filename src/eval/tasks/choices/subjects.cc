#include "eval/tasks/choices/subjects.h"

#include "base/error.h"
#include "eval/data/python_text.h"
#include "eval/tasks/choices.h"

namespace evo::eval {
namespace {

constexpr std::string_view kLetters = "ABCD";

std::vector<std::string> file_names(const Exam& exam, std::string_view subject,
                                    std::string_view split) {
  std::vector<std::string> names;
  for (const std::string& file : exam.files) {
    names.push_back(replaced(replaced(file, "SUBJECT", subject), "SPLIT", split));
  }
  return names;
}

TaskInfo with_files(TaskInfo info, const Exam& exam) {
  for (const std::string_view split : {exam.shot_split, exam.test_split}) {
    for (std::string& name : file_names(exam, "SUBJECT", split)) info.files.push_back(name);
  }
  return info;
}

}  // namespace

ExamQuestion lettered_question(const json::Record& row, std::string_view question,
                               std::string_view answer) {
  ExamQuestion result{row.get_string(question), {}, 0};
  for (size_t i = 0; i < kLetters.size(); ++i) {
    result.options[i] = row.get_string(kLetters.substr(i, 1));
  }
  const std::string letter = row.get_string(answer);
  const size_t index = letter.size() == 1 ? kLetters.find(letter) : std::string_view::npos;
  if (index == std::string_view::npos) {
    fail("{}: \"{}\" must be A, B, C or D, found \"{}\"", row.source(), answer, letter);
  }
  result.answer = static_cast<int64_t>(index);
  return result;
}

ExamTask::ExamTask(TaskInfo info, Exam exam)
    : Task(with_files(std::move(info), exam)), exam_(std::move(exam)) {}

std::vector<json::Record> ExamTask::rows(const DataFolder& data, const Exam::Subject& subject,
                                         std::string_view split) const {
  return read_rows(data.read(file_names(exam_, subject.key, split)), exam_.columns);
}

std::string ExamTask::prompt(const ExamQuestion& question) const {
  std::string text = fmt::format("{}\n", strip(question.text));
  for (size_t i = 0; i < kLetters.size(); ++i) {
    text += fmt::format("{}. {}\n", kLetters[i], question.options[i]);
  }
  return text.append(exam_.answer_prompt);
}

std::vector<Shot> ExamTask::first_questions(const DataFolder& data, const Exam::Subject& subject,
                                            int64_t count) const {
  std::vector<Shot> shots;
  if (count == 0) return shots;
  const std::vector<json::Record> rows = this->rows(data, subject, exam_.shot_split);
  if (std::ssize(rows) < count) {
    fail("{}: expected {} worked examples, as many as --shots says, found {}", rows[0].source(),
         count, rows.size());
  }
  for (const json::Record& row : std::span(rows).first(static_cast<size_t>(count))) {
    const ExamQuestion question = exam_.parse(row);
    shots.push_back({prompt(question), std::string(1, kLetters[question.answer])});
  }
  return shots;
}

std::vector<Example> ExamTask::load(const DataFolder& data, const TaskOptions& options) const {
  std::vector<Example> examples;
  for (const Exam::Subject& subject : exam_.subjects) {
    const std::string name =
        subject.name.empty() ? replaced(subject.key, "_", " ") : std::string(subject.name);
    const PromptWriter writer(options, replaced(exam_.description, "{}", name));
    const std::vector<Shot> shots = first_questions(data, subject, this->shots(options));
    const std::vector<json::Record> rows = this->rows(data, subject, exam_.test_split);
    for (size_t i = 0; i < limited(rows.size(), options); ++i) {
      const ExamQuestion question = exam_.parse(rows[i]);
      Example& example = examples.emplace_back();
      example.id = fmt::format("{}/{}", subject.key, i);
      example.group = subject.key;
      example.choices = after_context(writer.write(shots, prompt(question)), {"A", "B", "C", "D"},
                                      writer.before_choice());
      example.gold = question.answer;
    }
  }
  return examples;
}

std::vector<double> ExamTask::grade(const Example& example, const Outcome& outcome) const {
  return grade_choices(info().metrics, example, outcome);
}

}  // namespace evo::eval
