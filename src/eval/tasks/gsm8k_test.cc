#include <gtest/gtest.h>

#include "eval/tasks/testing.h"

namespace evo::eval {
namespace {

using testing::task_named;
using testing::TaskData;

constexpr std::string_view kTrain =
    R"({"question": "q0?", "answer": "r0 <<1+1=2>>2\n#### 0"}
{"question": "q1?", "answer": "r1\n#### 1"}
{"question": "q2?", "answer": "r2\n#### 2"}
{"question": "q3?", "answer": "r3\n#### 3"}
{"question": "q4?", "answer": "r4\n#### 4"}
{"question": "q5?", "answer": "r5\n#### 5"}
)";
constexpr std::string_view kTest =
    R"({"question": "Tom has 999 eggs and finds one more. How many has he?", "answer": "999 + 1 = 1,000\n#### 1,000"}
{"question": "How many legs has a cat?", "answer": "It is 4.\n#### 4"}
)";

std::vector<double> graded(const std::string& answer, const std::string& text) {
  Example example;
  example.targets = {answer};
  Outcome outcome;
  outcome.text = text;
  return task_named("gsm8k").grade(example, outcome);
}

TEST(Gsm8k, PromptByteForByte) {
  const TaskData data;
  data.write("gsm8k/train.jsonl", kTrain);
  data.write("gsm8k/test.jsonl", kTest);
  const std::vector<Example> examples = data.load("gsm8k", {.shots = 4});
  ASSERT_EQ(examples.size(), 2u);
  // python3: random.Random(1234).sample(range(6), 4), twice: 3 0 4 5, then 4 0 5 3.
  EXPECT_EQ(examples[0].prompt,
            "Question: q3?\nAnswer: r3\n#### 3\n\n"
            "Question: q0?\nAnswer: r0 <<1+1=2>>2\n#### 0\n\n"
            "Question: q4?\nAnswer: r4\n#### 4\n\n"
            "Question: q5?\nAnswer: r5\n#### 5\n\n"
            "Question: Tom has 999 eggs and finds one more. How many has he?\nAnswer:");
  EXPECT_TRUE(examples[1].prompt.starts_with("Question: q4?\nAnswer: r4\n#### 4\n\nQuestion: q0?"))
      << examples[1].prompt;
  EXPECT_EQ(examples[0].stop, (std::vector<std::string>{"Question:", "</s>", "<|im_end|>"}));
  EXPECT_EQ(examples[0].max_tokens, 256);
  EXPECT_EQ(examples[0].id, "0");
  EXPECT_EQ(examples[1].id, "1");
  EXPECT_EQ(data.load("gsm8k", {.limit = 1, .shots = 4}).at(0).prompt, examples[0].prompt);
  EXPECT_EQ(data.load("gsm8k", {.limit = 1}).size(), 1u);
}

TEST(Gsm8k, WithoutTrainingSplitShotsAreOtherProblems) {
  const TaskData data;
  data.write("gsm8k/test.jsonl", kTrain);
  // python3: random.Random(1234).sample(range(6), 5) is 3 0 4 5 2, of which 0 is the problem.
  EXPECT_EQ(data.load("gsm8k", {.shots = 4}).at(0).prompt,
            "Question: q3?\nAnswer: r3\n#### 3\n\nQuestion: q4?\nAnswer: r4\n#### 4\n\n"
            "Question: q5?\nAnswer: r5\n#### 5\n\nQuestion: q2?\nAnswer: r2\n#### 2\n\n"
            "Question: q0?\nAnswer:");
}

TEST(Gsm8k, StrictAndFlexibleAnswers) {
  using Scores = std::vector<double>;
  EXPECT_EQ(graded("x\n#### 1,000", " 999 + 1 = 1000\n#### 1000"), (Scores{1, 1}));
  EXPECT_EQ(graded("x\n#### 1,000", " It is $1,000."), (Scores{0, 1})) << "no ####";
  EXPECT_EQ(graded("x\n#### 18", "#### 18.\n\nAnd 7"), (Scores{1, 0})) << "first and last number";
  EXPECT_EQ(graded("x\n#### 18", "#### 17\n#### 18"), (Scores{0, 1}));
  EXPECT_EQ(graded("x\n#### -5", "#### -5"), (Scores{1, 1}));
  EXPECT_EQ(graded("x\n#### 5", "#### -5"), (Scores{0, 0}));
  EXPECT_EQ(graded("x\n#### 7", "so 3 or 7"), (Scores{0, 1}));
  EXPECT_EQ(graded("x\n#### 7", "####7"), (Scores{0, 1})) << "the space is part of the form";
  EXPECT_EQ(graded("x\n#### 7", "seven"), (Scores{0, 0}));
  EXPECT_EQ(graded("x\n#### 7", ""), (Scores{0, 0}));
  EXPECT_EQ(graded("x\n#### 7", "7 $"), (Scores{0, 1})) << "a lone $ is no number";
  EXPECT_EQ(graded("x\n#### 7", "7 .."), (Scores{0, 0})) << "two signs are one";
}

TEST(Gsm8k, FaultyFilesAreRefused) {
  const TaskData data;
  testing::expect_error<MissingData>([&] { static_cast<void>(data.load("gsm8k")); },
                                     {"gsm8k/test.jsonl"});
  data.write("gsm8k/test.jsonl", kTest);
  data.expect_load_error("gsm8k", {"expected at least 6 rows", "found 2"});
  data.write("gsm8k/train.jsonl", "{\"question\": \"q\", \"answer\": \"no result\"}\n");
  data.expect_load_error("gsm8k", {"train.jsonl", "####", "no result"});
  data.write("gsm8k/train.jsonl", "{\"question\": \"q\"}\n");
  data.expect_load_error("gsm8k", {"train.jsonl", "answer"});
}

TEST(Gsm8k, SharedData) {
  const auto data = testing::shared_benchmarks();
  if (!data) GTEST_SKIP() << "no folder ../shared/data/benchmarks";
  const std::vector<Example> examples = task_named("gsm8k").load(*data, {.shots = 4});
  ASSERT_EQ(examples.size(), 1319u);
  // The harness's first prompts, from python3's generator over the training split.
  EXPECT_TRUE(examples[0].prompt.starts_with("Question: Jen and Tyler are gymnasts practicing fl"));
  EXPECT_NE(examples[0].prompt.find("\n\nQuestion: A charcoal grill burns fifteen coals to "),
            std::string::npos);
  EXPECT_NE(examples[0].prompt.find("\n\nQuestion: Janet\u2019s ducks lay 16 eggs per day."),
            std::string::npos);
  EXPECT_TRUE(examples[1318].prompt.starts_with("Question: John takes a 20-foot log"));
  for (const Example& example : examples) {
    Outcome outcome;
    outcome.text = " " + example.targets.at(0);
    EXPECT_EQ(task_named("gsm8k").grade(example, outcome), (std::vector<double>{1, 1}))
        << example.targets[0];
  }
}

}  // namespace
}  // namespace evo::eval
