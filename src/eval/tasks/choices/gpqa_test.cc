#include <gtest/gtest.h>

#include <array>

#include "eval/tasks/testing.h"

namespace evo::eval {
namespace {

using testing::scored_text;
using testing::scores;
using testing::TaskData;

constexpr std::string_view kHeader =
    "Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3,Record ID\n";

std::string rows(int count) {
  std::string text(kHeader);
  for (int i = 0; i < count; ++i) {
    text += fmt::format("\"q{0},\n[kept]\",right {0} ,\"wrong [gone] {0}\",,w{0},id{0}\n", i);
  }
  return text;
}

/// A question as it is put, with its answers in this order: 0 to 2 for the wrong ones, 3 for the
/// right one.
std::string asked(int i, const std::array<size_t, 4>& order) {
  const std::array<std::string, 4> answers = {fmt::format("wrong [gone] {}", i), " ",
                                              fmt::format("w{}", i), fmt::format("right {}", i)};
  std::string text = fmt::format("Question: q{},\n[kept]\nChoices:\n", i);
  for (size_t k = 0; k < 4; ++k) text += fmt::format("({}) {}\n", "ABCD"[k], answers[order[k]]);
  return text + "Answer:";
}

// random.Random(42) shuffles the answers of seven questions, one after another, into these orders;
// random.Random(1234).sample(range(7), 6) gives 6, 3, 0, 4, 5, 2, of which 0 is the question
// itself.
TEST(Gpqa, PromptByteForByte) {
  const TaskData data;
  data.write("gpqa/gpqa_main.csv", rows(7));
  const std::vector<Example> examples = data.load("gpqa_main_n_shot", {.shots = 5});
  ASSERT_EQ(examples.size(), 7u);
  EXPECT_EQ(scored_text(examples[0], 2),
            "Here are some example questions from experts. Answer the final question yourself, "
            "following the format of the previous questions exactly.\n" +
                asked(6, {2, 1, 0, 3}) + " (D)\n\n" + asked(3, {1, 2, 0, 3}) + " (D)\n\n" +
                asked(4, {1, 2, 3, 0}) + " (C)\n\n" + asked(5, {1, 3, 2, 0}) + " (B)\n\n" +
                asked(2, {1, 3, 2, 0}) + " (B)\n\n" + asked(0, {2, 1, 3, 0}) + "| (C)");
  EXPECT_EQ(examples[0].gold, 2);
  EXPECT_EQ(examples[1].gold, 0);
  EXPECT_EQ(scores("gpqa_main_n_shot", examples[0], {-2, -2, -1, -2}), (std::vector<double>{1, 1}));
  EXPECT_EQ(scores("gpqa_main_n_shot", examples[0], {-1, -2, -2, -2}), (std::vector<double>{0, 0}));
}

TEST(Gpqa, RowsOfJsonGiveTheSame) {
  const TaskData csv, json;
  csv.write("gpqa_main.csv", rows(6));
  std::string text;
  for (int i = 0; i < 6; ++i) {
    text += fmt::format(
        R"({{"Question": "q{0},\n[kept]", "Correct Answer": "right {0} ", "Incorrect Answer 1": )"
        R"("wrong [gone] {0}", "Incorrect Answer 2": null, "Incorrect Answer 3": "w{0}"}})"
        "\n",
        i);
  }
  json.write("gpqa_main/train.jsonl", text);
  const std::vector<Example> expected = csv.load("gpqa_main_n_shot", {.shots = 5});
  const std::vector<Example> examples = json.load("gpqa_main_n_shot", {.shots = 5});
  ASSERT_EQ(examples.size(), 6u);
  for (size_t i = 0; i < examples.size(); ++i) {
    EXPECT_EQ(scored_text(examples[i], 0), scored_text(expected[i], 0));
    EXPECT_EQ(examples[i].gold, expected[i].gold);
  }
}

TEST(Gpqa, Errors) {
  const TaskData data;
  data.expect_load_error("gpqa_main_n_shot", {"gpqa_main.csv"});
  data.write("gpqa_main.csv", rows(5));
  data.expect_load_error("gpqa_main_n_shot", {"gpqa_main.csv", "at least 6", "found 5"},
                         {.shots = 5});
  data.write("gpqa_main.csv", "Question,Correct Answer\nq,a\n");
  data.expect_load_error("gpqa_main_n_shot", {"gpqa_main.csv:2", "Incorrect Answer 1"});
}

}  // namespace
}  // namespace evo::eval
