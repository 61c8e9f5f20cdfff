// The tasks whose answers are programs: HumanEval, its infilling, MBPP.
#include <gtest/gtest.h>

#include "eval/sandbox.h"
#include "eval/tasks/testing.h"

namespace evo::eval {
namespace {

using testing::task_named;
using testing::TaskData;

constexpr std::string_view kHumanEval =
    R"({"task_id": "HumanEval/0", "prompt": "def twice(x):\n    \"\"\"Twice x.\"\"\"\n", "entry_point": "twice", "canonical_solution": "    return 2 * x\n", "test": "\n\ndef check(candidate):\n    assert candidate(2) == 4\n"}
{"task_id": "HumanEval/1", "prompt": "p", "entry_point": "f", "canonical_solution": "c", "test": "t"}
)";
constexpr std::string_view kInfilling =
    R"({"task_id": "Part/HumanEval/0/L0", "entry_point": "twice", "prompt": "def twice(x):\n", "suffix": "    return y\n", "canonical_solution": "    y = 2 * x\n", "test": "\n\ndef check(candidate):\n    assert candidate(2) == 4\n"}
{"task_id": "Part/HumanEval/0/L1", "entry_point": "twice", "prompt": "p", "suffix": "s", "canonical_solution": "c", "test": "t"}
)";
constexpr std::string_view kMbpp =
    R"({"text": "Of a shot.", "code": "c", "task_id": 10, "test_setup_code": "", "test_list": ["a", "b", "c"], "challenge_test_list": []}
{"text": "Write a function that doubles.", "code": "c", "task_id": 11, "test_setup_code": "", "test_list": ["assert twice(1) == 2", "assert twice(2) == 4", "assert twice(0) == 0", "assert False"], "challenge_test_list": []}
{"text": "Last.", "code": "c", "task_id": 510, "test_setup_code": "", "test_list": ["a", "b", "c"], "challenge_test_list": []}
{"text": "Of validation.", "code": "c", "task_id": 511, "test_setup_code": "", "test_list": ["a", "b", "c"], "challenge_test_list": []}
)";

void write_infilling(const TaskData& data) {
  for (const char* part : {"SingleLine", "MultiLine", "RandomSpan"}) {
    data.write(fmt::format("HumanEval-{}Infilling.jsonl", part), kInfilling);
  }
  data.write("HumanEval-RandomSpanInfillingLight.jsonl", kInfilling);
}

double graded(std::string_view task, const Example& example, const std::string& text) {
  Outcome outcome;
  outcome.text = text;
  return task_named(task).grade(example, outcome).at(0);
}

TEST(HumanEval, ExampleIsTheRow) {
  const TaskData data;
  data.write("humaneval/HumanEval.jsonl", kHumanEval);
  const std::vector<Example> examples = data.load("humaneval");
  ASSERT_EQ(examples.size(), 2u);
  EXPECT_EQ(examples[0].id, "HumanEval/0");
  EXPECT_EQ(examples[0].prompt, "def twice(x):\n    \"\"\"Twice x.\"\"\"\n");
  EXPECT_EQ(examples[0].suffix, "");
  EXPECT_EQ(examples[0].stop,
            (std::vector<std::string>{"\nclass", "\ndef", "\n#", "\nif", "\nprint"}));
  EXPECT_EQ(examples[0].max_tokens, 1024);
  EXPECT_EQ(examples[0].targets.at(0),
            "\n\ndef check(candidate):\n    assert candidate(2) == 4\n\ncheck(twice)");
  EXPECT_EQ(data.load("humaneval", {.limit = 1}).size(), 1u);
}

TEST(HumanEval, Grades) {
  std::string why;
  if (!sandbox_available(why)) GTEST_SKIP() << why;
  const TaskData data;
  data.write("humaneval/test.jsonl", kHumanEval);
  const Example example = data.load("humaneval").at(0);
  EXPECT_EQ(graded("humaneval", example, "    return x + x\n"), 1);
  EXPECT_EQ(graded("humaneval", example, "    return x\n"), 0);
  EXPECT_EQ(graded("humaneval", example, "return x + x"), 0) << "not indented";
  EXPECT_EQ(graded("humaneval", example, ""), 0) << "returns None";
  EXPECT_EQ(graded("humaneval", example, "    raise SystemExit(0)"), 0);
}

TEST(HumanEval, FaultyFilesAreRefused) {
  const TaskData data;
  testing::expect_error<MissingData>([&] { static_cast<void>(data.load("humaneval")); },
                                     {"HumanEval.jsonl"});
  data.write("HumanEval.jsonl", "{\"task_id\": \"HumanEval/0\"}\n");
  data.expect_load_error("humaneval", {"HumanEval.jsonl", "prompt"});
}

TEST(Infilling, PartsAreGroups) {
  const TaskData data;
  write_infilling(data);
  const std::vector<Example> examples = data.load("humaneval_infilling");
  ASSERT_EQ(examples.size(), 8u);
  EXPECT_EQ(examples[0].id, "Part/HumanEval/0/L0");
  EXPECT_EQ(examples[0].group, "single-line");
  EXPECT_EQ(examples[0].prompt, "def twice(x):\n");
  EXPECT_EQ(examples[0].suffix, "    return y\n");
  EXPECT_TRUE(examples[0].stop.empty());
  EXPECT_EQ(examples[7].group, "random-span-light");
  const std::vector<Example> some = data.load("humaneval_infilling", {.limit = 1});
  ASSERT_EQ(some.size(), 4u);
  EXPECT_EQ(some[1].group, "multi-line");
  EXPECT_EQ(some[2].group, "random-span");
}

TEST(Infilling, Grades) {
  std::string why;
  if (!sandbox_available(why)) GTEST_SKIP() << why;
  const TaskData data;
  write_infilling(data);
  const Example example = data.load("humaneval_infilling").at(0);
  EXPECT_EQ(graded("humaneval_infilling", example, "    y = x * 2\n"), 1);
  EXPECT_EQ(graded("humaneval_infilling", example, "    y = x\n"), 0);
  EXPECT_EQ(graded("humaneval_infilling", example, "    y = x * 2"), 0) << "joins the next line";
}

TEST(Mbpp, PromptByteForByte) {
  const TaskData data;
  data.write("mbpp/mbpp.jsonl", kMbpp);
  const std::vector<Example> examples = data.load("mbpp");
  ASSERT_EQ(examples.size(), 2u) << "11 to 510 are the test split";
  EXPECT_EQ(
      examples[0].prompt,
      "You are an expert Python programmer, and here is your task: Write a function to find the "
      "similar elements from the given two tuple lists. Your code should pass these tests:\n\n"
      "assert similar_elements((3, 4, 5, 6),(5, 7, 4, 10)) == (4, 5)\n"
      "assert similar_elements((1, 2, 3, 4),(5, 4, 3, 7)) == (3, 4)\n"
      "assert similar_elements((11, 12, 14, 13),(17, 15, 14, 13)) == (13, 14)\n[BEGIN]\n"
      "def similar_elements(test_tup1, test_tup2):\r\n"
      "  res = tuple(set(test_tup1) & set(test_tup2))\r\n  return (res) \n[DONE]\n\n"
      "You are an expert Python programmer, and here is your task: Write a python function to "
      "identify non-prime numbers. Your code should pass these tests:\n\n"
      "assert is_not_prime(2) == False\nassert is_not_prime(10) == True\n"
      "assert is_not_prime(35) == True\n[BEGIN]\n"
      "import math\r\ndef is_not_prime(n):\r\n    result = False\r\n"
      "    for i in range(2,int(math.sqrt(n)) + 1):\r\n        if n % i == 0:\r\n"
      "            result = True\r\n    return result\n[DONE]\n\n"
      "You are an expert Python programmer, and here is your task: Write a function to find the "
      "largest integers from a given list of numbers using heap queue algorithm. Your code should "
      "pass these tests:\n\n"
      "assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],3)==[85, 75, 65] \n"
      "assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],2)==[85, 75] \n"
      "assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],5)==[85, 75, 65, 58, "
      "35]\n[BEGIN]\n"
      "import heapq as hq\r\ndef heap_queue_largest(nums,n):\r\n"
      "  largest_nums = hq.nlargest(n, nums)\r\n  return largest_nums\n[DONE]\n\n"
      "You are an expert Python programmer, and here is your task: Write a function that doubles. "
      "Your code should pass these tests:\n\n"
      "assert twice(1) == 2\nassert twice(2) == 4\nassert twice(0) == 0\n[BEGIN]\n");
  EXPECT_EQ(examples[0].targets.at(0),
            "assert twice(1) == 2\nassert twice(2) == 4\nassert twice(0) == 0");
  EXPECT_EQ(examples[0].stop, std::vector<std::string>{"[DONE]"});
  EXPECT_EQ(examples[0].max_tokens, 256);
  EXPECT_EQ(examples[0].id, "11");
  EXPECT_EQ(examples[1].id, "510");
  EXPECT_EQ(task_named("mbpp").info().shots, 3);
}

TEST(Mbpp, Grades) {
  std::string why;
  if (!sandbox_available(why)) GTEST_SKIP() << why;
  const TaskData data;
  data.write("mbpp.jsonl", kMbpp);
  const Example example = data.load("mbpp").at(0);
  EXPECT_EQ(graded("mbpp", example, "def twice(x):\r\n    return 2 * x\n"), 1);
  EXPECT_EQ(graded("mbpp", example, "def twice(x):\n    return x ** 2\n"), 0);
  EXPECT_EQ(graded("mbpp", example, ""), 0);
}

TEST(Mbpp, FaultyFilesAreRefused) {
  const TaskData data;
  testing::expect_error<MissingData>([&] { static_cast<void>(data.load("mbpp")); }, {"mbpp.jsonl"});
  data.write("mbpp.jsonl", R"({"task_id": 12, "text": "t", "test_list": ["a"]})");
  data.expect_load_error("mbpp", {"mbpp.jsonl", "at least 3 assertions", "found 1"});
  data.write("mbpp.jsonl", R"({"task_id": 5, "text": "t", "test_list": ["a", "b", "c"]})");
  data.expect_load_error("mbpp", {"mbpp.jsonl", "11 to 510"});
}

// Every reference solution of a slice of the real data passes, and the empty answer does not.
TEST(CodeTasks, SharedData) {
  const auto data = testing::shared_benchmarks();
  if (!data) GTEST_SKIP() << "no folder ../shared/data/benchmarks";
  EXPECT_EQ(task_named("humaneval").load(*data, {}).size(), 164u);
  EXPECT_EQ(task_named("mbpp").load(*data, {}).size(), 500u);
  EXPECT_EQ(task_named("mbpp").load(*data, {}).back().id, "510");
  EXPECT_EQ(task_named("humaneval_infilling").load(*data, {}).size(), 1033u + 5815 + 1640 + 164);
  std::string why;
  if (!sandbox_available(why)) GTEST_SKIP() << why;
  const std::vector<json::Record> rows = read_rows(data->read({"HumanEval.jsonl"}));
  const std::vector<Example> examples = task_named("humaneval").load(*data, {.limit = 10});
  for (size_t i = 0; i < examples.size(); ++i) {
    EXPECT_EQ(examples[i].id, rows[i].get_string("task_id"));
    EXPECT_EQ(graded("humaneval", examples[i], rows[i].get_string("canonical_solution")), 1);
    EXPECT_EQ(graded("humaneval", examples[i], "    return None\n"), 0);
  }
}

}  // namespace
}  // namespace evo::eval
