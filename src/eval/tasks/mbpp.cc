// MBPP: short Python functions from a sentence and three assertions.
#include <array>

#include "base/error.h"
#include "eval/tasks/families.h"
#include "eval/tasks/parts.h"
#include "eval/tasks/shots.h"

namespace evo::eval {
namespace {

constexpr size_t kTests = 3;  // that prompts show, and that are run
// Of the 974 problems these are the test split.
constexpr int64_t kFirstTest = 11, kLastTest = 510;

struct Problem {
  std::string text, code;
  std::array<std::string, kTests> tests;
};

// list_fewshot_samples() of the harness's utils.py: problems 2, 3 and 4.
const std::array<Problem, 3>& shot_problems() {
  static const std::array<Problem, 3> problems = {
      {{"Write a function to find the similar elements from the given two tuple lists.",
        "def similar_elements(test_tup1, test_tup2):\r\n"
        "  res = tuple(set(test_tup1) & set(test_tup2))\r\n"
        "  return (res) ",
        {"assert similar_elements((3, 4, 5, 6),(5, 7, 4, 10)) == (4, 5)",
         "assert similar_elements((1, 2, 3, 4),(5, 4, 3, 7)) == (3, 4)",
         "assert similar_elements((11, 12, 14, 13),(17, 15, 14, 13)) == (13, 14)"}},
       {"Write a python function to identify non-prime numbers.",
        "import math\r\n"
        "def is_not_prime(n):\r\n"
        "    result = False\r\n"
        "    for i in range(2,int(math.sqrt(n)) + 1):\r\n"
        "        if n % i == 0:\r\n"
        "            result = True\r\n"
        "    return result",
        {"assert is_not_prime(2) == False", "assert is_not_prime(10) == True",
         "assert is_not_prime(35) == True"}},
       {"Write a function to find the largest integers from a given list of numbers using heap "
        "queue algorithm.",
        "import heapq as hq\r\n"
        "def heap_queue_largest(nums,n):\r\n"
        "  largest_nums = hq.nlargest(n, nums)\r\n"
        "  return largest_nums",
        {"assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],3)==[85, 75, 65] ",
         "assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],2)==[85, 75] ",
         "assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],5)==[85, 75, 65, 58, "
         "35]"}}}};
  return problems;
}

std::string joined(const std::array<std::string, kTests>& tests) {
  return fmt::format("{}\n{}\n{}", tests[0], tests[1], tests[2]);
}

std::string asked(const Problem& problem) {
  return fmt::format(
      "You are an expert Python programmer, and here is your task: {} Your code should pass these "
      "tests:\n\n{}\n[BEGIN]\n",
      problem.text, joined(problem.tests));
}

std::vector<Shot> worked_examples() {
  std::vector<Shot> examples;
  for (const Problem& shot : shot_problems())
    examples.push_back({asked(shot), shot.code + "\n[DONE]"});
  return examples;
}

Problem problem_of(const json::Record& row) {
  const std::vector<std::string> tests = row.get_strings("test_list");
  if (tests.size() < kTests) {
    fail("{}: expected at least {} assertions in \"test_list\", found {}", row.source(), kTests,
         tests.size());
  }
  return {row.get_string("text"), {}, {tests[0], tests[1], tests[2]}};
}

TaskInfo mbpp_info() {
  TaskInfo info;
  info.name = "mbpp";
  info.version = "1.0";
  info.source = "lm-evaluation-harness 0.4.13, lm_eval/tasks/mbpp/mbpp.yaml";
  // There are three examples, the first n of which the harness takes: it refuses to take four.
  info.shots = static_cast<int>(shot_problems().size());
  info.metrics = {{"pass_at_1"}};
  info.files = {"mbpp.jsonl", "mbpp/full/test.jsonl"};
  info.runs_programs = true;
  return info;
}

class MbppTask : public Task {
 public:
  MbppTask() : Task(mbpp_info()) {}

  std::vector<Example> load(const DataFolder& data, const TaskOptions& options) const override {
    const DataFile file = data.read({"mbpp.jsonl", "mbpp/full/test.jsonl", "mbpp/test.jsonl"});
    const PromptWriter writer(options, "", "");
    const std::vector<Shot> shots = first_shots(*this, options, worked_examples());
    std::vector<Example> examples;
    for (const json::Record& row : read_rows(file)) {
      const int64_t number = row.get_int("task_id");
      if (number < kFirstTest || number > kLastTest) continue;
      if (options.limit > 0 && std::ssize(examples) == options.limit) break;
      const Problem problem = problem_of(row);
      Example example;
      example.id = std::to_string(number);
      example.prompt = writer.write(shots, asked(problem));
      example.stop = {"[DONE]"};
      example.max_tokens = 256;  // the harness's default
      example.targets = {joined(problem.tests)};
      examples.push_back(std::move(example));
    }
    if (examples.empty()) {
      fail("{}: expected problems with a \"task_id\" of {} to {}, the test split; found none",
           file.name, kFirstTest, kLastTest);
    }
    return examples;
  }

  std::vector<double> grade(const Example& example, const Outcome& outcome) const override {
    return {program_score(outcome.text + "\n" + example.targets.at(0))};
  }
};

}  // namespace

void add_mbpp_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  tasks.push_back(std::make_unique<MbppTask>());
}

}  // namespace evo::eval
