#include <gtest/gtest.h>

#include "eval/tasks/testing.h"

namespace evo::eval {
namespace {

using testing::scored_text;
using testing::TaskData;

TEST(Lambada, LinesOfText) {
  const TaskData data;
  data.write("lambada_test_plain_text.txt", "the cat `` sat '' on the mat\n a second  line \n");
  const std::vector<Example> examples = data.load("lambada");
  ASSERT_EQ(examples.size(), 2u);
  ASSERT_EQ(examples[0].choices.size(), 1u);
  EXPECT_EQ(scored_text(examples[0], 0), "the cat `` sat '' on the| mat");
  EXPECT_EQ(scored_text(examples[1], 0), "a second | line");
}

TEST(Lambada, Rows) {
  const TaskData data;
  data.write("lambada/test.jsonl", R"({"text": "the cat sat", "domain": null})");
  EXPECT_EQ(scored_text(data.load("lambada").at(0), 0), "the cat| sat");
}

TEST(Lambada, ScoresAreGreedinessAndLogLikelihood) {
  const TaskData data;
  data.write("lambada/test.jsonl", R"({"text": "the cat sat"})");
  const Example example = data.load("lambada").at(0);
  const Task& task = testing::task_named("lambada");
  EXPECT_EQ(task.info().metrics[1].mean, Metric::Mean::kPerplexity);
  EXPECT_EQ(task.grade(example, {{-2.5}, {1}, ""}), (std::vector<double>{1, -2.5}));
  EXPECT_EQ(task.grade(example, {{-7}, {0}, ""}), (std::vector<double>{0, -7}));
}

TEST(Lambada, Errors) {
  const TaskData data;
  data.expect_load_error("lambada", {"lambada_test_plain_text.txt"});
  data.write("lambada_test_plain_text.txt", "two words\nword\n");
  data.expect_load_error("lambada", {"plain_text.txt:2", "several words", "\"word\""});
}

}  // namespace
}  // namespace evo::eval
