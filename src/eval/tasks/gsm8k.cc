// GSM8K: word problems of grade school, reasoned out down to "#### answer".
#include <algorithm>
#include <cctype>

#include "base/ascii.h"
#include "base/error.h"
#include "eval/data/python_text.h"
#include "eval/tasks/choices.h"
#include "eval/tasks/families.h"
#include "eval/tasks/shots.h"

namespace evo::eval {
namespace {

constexpr const char* kNoAnswer = "[invalid]";

struct Problem {
  std::string question, answer;
};

std::vector<Problem> read_problems(const DataFile& file) {
  std::vector<Problem> problems;
  for (const json::Record& row : read_rows(file)) {
    problems.push_back({row.get_string("question"), row.get_string("answer")});
    if (problems.back().answer.find("#### ") == std::string::npos) {
      fail("{}: \"answer\" must end in \"#### \" and the result, found \"{}\"", row.source(),
           problems.back().answer);
    }
  }
  return problems;
}

std::string asked(const Problem& problem) {
  return fmt::format("Question: {}\nAnswer:", problem.question);
}

std::vector<ShotSampler::Document> shots_of(const DataFile& file) {
  std::vector<ShotSampler::Document> shots;
  for (const Problem& problem : read_problems(file)) {
    shots.push_back({problem.question, {asked(problem), problem.answer}});
  }
  return shots;
}

bool is_of_number(char c) {
  return is_digit(c) || c == '.' || c == ',';
}

/// End of the characters from `at` on that `accepts` takes.
template <class Accepts>
size_t run_end(std::string_view text, size_t at, const Accepts& accepts) {
  while (at < text.size() && accepts(text[at])) ++at;
  return at;
}

/// Group 1 of the first match of `#### (\-?[0-9\.\,]+)`.
std::string strict_answer(std::string_view text) {
  constexpr std::string_view kMark = "#### ";
  for (size_t at = text.find(kMark); at != std::string_view::npos; at = text.find(kMark, at + 1)) {
    const size_t begin = at + kMark.size();
    const size_t digits = begin + (begin < text.size() && text[begin] == '-' ? 1 : 0);
    const size_t end = run_end(text, digits, is_of_number);
    if (end > digits) return std::string(text.substr(begin, end - begin));
  }
  return kNoAnswer;
}

/// End of the match of `(-?[$0-9.,]{2,})|(-?[0-9]+)` that begins at `at`; `at` if none does.
size_t flexible_end(std::string_view text, size_t at) {
  const size_t begin = at + (text[at] == '-' ? 1 : 0);
  const size_t end = run_end(text, begin, [](char c) { return c == '$' || is_of_number(c); });
  if (end >= begin + 2) return end;
  return end > begin && is_digit(text[begin]) ? end : at;
}

/// The last of all matches.
std::string flexible_answer(std::string_view text) {
  std::string answer = kNoAnswer;
  for (size_t at = 0; at < text.size();) {
    const size_t end = flexible_end(text, at);
    if (end > at) answer = text.substr(at, end - at);
    at = std::max(end, at + 1);
  }
  return answer;
}

/// What exact_match compares: without what matches one of `,` `\$` `(?s).*#### ` `\.$`, in this
/// order, and in lower case.
std::string compared(std::string_view answer) {
  std::string text = replaced(replaced(answer, ",", ""), "$", "");
  constexpr std::string_view kMark = "#### ";
  if (const size_t mark = text.rfind(kMark); mark != std::string::npos) {
    text.erase(0, mark + kMark.size());
  }
  // Python's $ is the end, and the place before a line break at the end.
  const size_t end = text.size() - (text.ends_with('\n') ? 1 : 0);
  if (end > 0 && text[end - 1] == '.') text.erase(end - 1, 1);
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

TaskInfo gsm8k_info() {
  TaskInfo info;
  info.name = "gsm8k";
  info.version = "3.0";
  info.source = "lm-evaluation-harness 0.4.13, lm_eval/tasks/gsm8k/gsm8k.yaml";
  info.shots = 5;
  info.metrics = {{"exact_match,strict-match"}, {"exact_match,flexible-extract"}};
  info.files = {"gsm8k/test.jsonl", "gsm8k/train.jsonl"};
  return info;
}

class Gsm8kTask : public Task {
 public:
  Gsm8kTask() : Task(gsm8k_info()) {}

  std::vector<Example> load(const DataFolder& data, const TaskOptions& options) const override {
    const DataFile file = data.read({"gsm8k/test.jsonl", "gsm8k/main/test.jsonl"});
    const std::vector<Problem> problems = read_problems(file);
    const PromptWriter writer(options);
    ShotSampler sampler =
        random_shots(shots(options), data.find({"gsm8k/train.jsonl", "gsm8k/main/train.jsonl"}),
                     ShotSampler::Draw::kRandom, file, shots_of);
    std::vector<Example> examples;
    for (size_t i = 0; i < limited(problems.size(), options); ++i) {
      Example example;
      example.id = std::to_string(i);
      example.prompt = writer.write(sampler.next(problems[i].question), asked(problems[i]));
      example.stop = {"Question:", "</s>", "<|im_end|>"};
      example.max_tokens = 256;  // the harness's default
      example.targets = {problems[i].answer};
      examples.push_back(std::move(example));
    }
    return examples;
  }

  std::vector<double> grade(const Example& example, const Outcome& outcome) const override {
    const std::string target = compared(example.targets.at(0));
    return {compared(strict_answer(outcome.text)) == target ? 1.0 : 0.0,
            compared(flexible_answer(outcome.text)) == target ? 1.0 : 0.0};
  }
};

}  // namespace

void add_gsm8k_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  tasks.push_back(std::make_unique<Gsm8kTask>());
}

}  // namespace evo::eval
