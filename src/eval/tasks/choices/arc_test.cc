#include <gtest/gtest.h>

#include "eval/tasks/testing.h"

namespace evo::eval {
namespace {

using testing::scored_text;
using testing::scores;
using testing::TaskData;

constexpr std::string_view kOriginal =
    R"({"id":"x1","question":{"stem":"What is ice?","choices":[{"text":"water","label":"A"},)"
    R"({"text":"a stone that melts","label":"B"},{"text":"air","label":"C"}]},"answerKey":"B"})";

TEST(Arc, OriginalRows) {
  const TaskData data;
  data.write("arc/ARC-Challenge-Test.jsonl", std::string(kOriginal) + "\n");
  const std::vector<Example> examples = data.load("arc_challenge");
  ASSERT_EQ(examples.size(), 1u);
  ASSERT_EQ(examples[0].choices.size(), 3u);
  EXPECT_EQ(scored_text(examples[0], 0), "Question: What is ice?\nAnswer:| water");
  EXPECT_EQ(scored_text(examples[0], 1), "Question: What is ice?\nAnswer:| a stone that melts");
  EXPECT_EQ(examples[0].gold, 1);
  // acc_norm, acc: -9 / 18 characters is more than -5 / 5, -9 is less than -5.
  EXPECT_EQ(scores("arc_challenge", examples[0], {-5, -9, -30}), (std::vector<double>{1, 0}));
  EXPECT_EQ(scores("arc_challenge", examples[0], {-1, -30, -1}), (std::vector<double>{0, 0}));
}

TEST(Arc, HuggingFaceRowsWithNumberedLabels) {
  const TaskData data;
  data.write("ARC-Challenge/test.jsonl",
             R"({"id": "x", "question": "Which?", "choices": {"text": ["p", "q"], )"
             R"("label": ["1", "2"]}, "answerKey": "2"})");
  const std::vector<Example> examples = data.load("arc_challenge");
  ASSERT_EQ(examples.size(), 1u);
  EXPECT_EQ(scored_text(examples[0], 1), "Question: Which?\nAnswer:| q");
  EXPECT_EQ(examples[0].gold, 1);
}

TEST(Arc, Errors) {
  const TaskData data;
  data.expect_load_error("arc_challenge", {"ARC-Challenge-Test.jsonl"});
  data.write("ARC-Challenge-Test.jsonl",
             std::string(kOriginal) +
                 "\n{\"question\":{\"stem\":\"?\",\"choices\":[]},\"answerKey\":\"E\"}");
  data.expect_load_error("arc_challenge", {"ARC-Challenge-Test.jsonl:2", "\"answerKey\"", "\"E\""});
}

}  // namespace
}  // namespace evo::eval
