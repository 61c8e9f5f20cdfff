#include <gtest/gtest.h>

#include <set>

#include "eval/tasks/testing.h"

namespace evo::eval {
namespace {

using testing::task_named;
using testing::TaskData;

constexpr std::string_view kPrompt =
    "A canary.\n-----\nJudge sums.\n\nSums are judged here.\n\n"
    "Q: Is 1 + 1 = 2?\nOptions:\n- Yes\n- No\nA: Let's think step by step.\n"
    "It is 2. So the answer is Yes.\n\n"
    "Q: Is 1 + 2 = 2?\nA: Let's think step by step. It is 3. So the answer is No.\n\n"
    "Q: Is 0 = 0?\nA: Let's think step by step.\nIt is. So the answer is Yes.";

constexpr std::string_view kExamples =
    R"({"canary": "c", "examples": [{"input": "Is 2 = 3?\nOptions:\n- Yes\n- No", "target": "No"},)"
    "\n"
    R"({"input": "Is 2 = 2?", "target": "Yes"}]})";

const std::vector<std::string>& subtasks() {
  static const std::vector<std::string> names = {"boolean_expressions",
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
  return names;
}

void write_all(const TaskData& data) {
  for (const std::string& name : subtasks()) {
    data.write("bbh/" + name + ".json", kExamples);
    data.write("bbh/cot-prompts/" + name + ".txt", kPrompt);
  }
}

double graded(const std::string& target, const std::string& text) {
  Example example;
  example.targets = {target};
  Outcome outcome;
  outcome.text = text;
  return task_named("bbh").grade(example, outcome).at(0);
}

TEST(Bbh, PromptByteForByte) {
  const TaskData data;
  write_all(data);
  const std::vector<Example> examples = data.load("bbh");
  ASSERT_EQ(examples.size(), 2u * 27);
  const Example& example = examples.at(2);
  EXPECT_EQ(example.id, "causal_judgement/0");
  EXPECT_EQ(example.group, "causal_judgement");
  EXPECT_EQ(example.prompt,
            "Judge sums.\n\nSums are judged here.\n\n"
            "Q: Is 1 + 1 = 2?\nOptions:\n- Yes\n- No\nA: Let's think step by step.\n"
            "It is 2. So the answer is Yes.\n\n"
            "Q: Is 1 + 2 = 2?\nA: Let's think step by step.\n"
            "It is 3. So the answer is No.\n\n"
            "Q: Is 0 = 0?\nA: Let's think step by step.\n"
            "It is. So the answer is Yes.\n\n"
            "Q: Is 2 = 3?\nOptions:\n- Yes\n- No\nA: Let's think step by step.\n");
  EXPECT_EQ(example.targets, std::vector<std::string>{"No"});
  EXPECT_EQ(example.stop, (std::vector<std::string>{"</s>", "Q", "\n\n"}));
  EXPECT_EQ(example.max_tokens, 1024);
}

TEST(Bbh, ShotsOfTheTasksOwn) {
  const TaskData data;
  write_all(data);
  EXPECT_EQ(data.load("bbh", {.shots = 1}).at(2).prompt,
            "Judge sums.\n\nSums are judged here.\n\n"
            "Q: Is 1 + 1 = 2?\nOptions:\n- Yes\n- No\nA: Let's think step by step.\n"
            "It is 2. So the answer is Yes.\n\n"
            "Q: Is 2 = 3?\nOptions:\n- Yes\n- No\nA: Let's think step by step.\n");
  data.expect_load_error("bbh", {"bbh", "3 worked examples", "4 were asked for"}, {.shots = 4});
}

TEST(Bbh, LimitIsPerSubtask) {
  const TaskData data;
  write_all(data);
  const std::vector<Example> examples = data.load("bbh", {.limit = 1});
  ASSERT_EQ(examples.size(), 27u);
  EXPECT_EQ(examples[26].id, "word_sorting/0");
}

TEST(Bbh, HuggingFaceRows) {
  const TaskData data;
  for (const std::string& name : subtasks()) {
    data.write("bbh/" + name + "/test.jsonl", R"({"input": "i", "target": "t"})");
    data.write("cot-prompts/" + name + ".txt", kPrompt);
  }
  EXPECT_EQ(data.load("bbh").at(26).targets, std::vector<std::string>{"t"});
}

TEST(Bbh, FirstAnswerOfTheTextCounts) {
  EXPECT_EQ(graded("Yes", "It is 2. So the answer is Yes."), 1);
  EXPECT_EQ(graded("(A)", "so the answer is (A)."), 1);
  EXPECT_EQ(graded("Yes", "So the answer is Yes"), 0) << "the last character is never part of it";
  EXPECT_EQ(graded("Ye", "So the answer is Yes"), 1);
  EXPECT_EQ(graded("No", "the answer is Yes. No, the answer is No."), 0);
  EXPECT_EQ(graded("No", "the answer is No.\nthe answer is Yes."), 1);
  EXPECT_EQ(graded("No", "The answer is No."), 0) << "case matters";
  EXPECT_EQ(graded("no", "the answer is No."), 0);
  EXPECT_EQ(graded("No", "the answer is \nthe answer is No."), 1) << "nothing on the first line";
  EXPECT_EQ(graded("5", "the answer is 5\u20AC"), 1) << "a character of three bytes";
  EXPECT_EQ(graded("", ""), 0);
}

TEST(Bbh, FaultyFilesAreRefused) {
  const TaskData data;
  testing::expect_error<MissingData>([&] { static_cast<void>(data.load("bbh")); },
                                     {"cot-prompts/boolean_expressions.txt"});
  write_all(data);
  data.write("bbh/cot-prompts/navigate.txt", "no rule");
  data.expect_load_error("bbh", {"navigate.txt", "-----", "3 examples"});
  data.write("bbh/cot-prompts/navigate.txt", kPrompt.substr(0, kPrompt.size() - 60));
  data.expect_load_error("bbh", {"navigate.txt", "3 examples"});
  data.write("bbh/cot-prompts/navigate.txt", "-----\nd\n\nQ: a\nA: b\n\nQ: a\nA: b\n\nQ: a\nA: b");
  data.expect_load_error("bbh", {"navigate.txt", "example 1", "\"A: b\""});
  data.write("bbh/cot-prompts/navigate.txt", kPrompt);
  data.write("bbh/navigate.json", kExamples.substr(0, 60));
  data.expect_load_error("bbh", {"navigate.json"});
  data.write("bbh/navigate.json", R"({"examples": [{"input": "i"}]})");
  data.expect_load_error("bbh", {"navigate.json", "target"});
}

TEST(Bbh, SharedData) {
  const auto data = testing::shared_benchmarks();
  if (!data) GTEST_SKIP() << "no folder ../shared/data/benchmarks";
  const std::vector<Example> examples = task_named("bbh").load(*data, {});
  // 24 subtasks of 250, causal_judgement 187, penguins_in_a_table 146, snarks 178.
  ASSERT_EQ(examples.size(), 6511u);
  std::set<std::string> ids;
  for (const Example& example : examples) {
    EXPECT_TRUE(ids.insert(example.id).second) << example.id;
    EXPECT_EQ(graded(example.targets.at(0), "So the answer is " + example.targets[0] + "."), 1)
        << example.id;
  }
  EXPECT_TRUE(examples[0].prompt.starts_with(
      "Evaluate the result of a random Boolean expression.\n\nQ: not ( ( not not True ) ) is\nA: "
      "Let's think step by step.\nRemember that (i) expressions inside brackets"));
  EXPECT_TRUE(examples[0].prompt.ends_with(
      "So the answer is True.\n\nQ: not ( True ) and ( True ) is\nA: Let's think step by step.\n"));
  EXPECT_EQ(examples[0].targets[0], "False");
}

}  // namespace
}  // namespace evo::eval
