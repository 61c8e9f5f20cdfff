#include <gtest/gtest.h>

#include "eval/tasks/testing.h"

namespace evo::eval {
namespace {

using testing::scored_text;
using testing::scores;
using testing::TaskData;

std::string row(int number, int answer) {
  return fmt::format(
      R"({{"sentence": "s{0} saw _ there . ", "option1": "Ann", "option2": "Bob{0}", )"
      R"("answer": "{1}"}})"
      "\n",
      number, answer);
}

std::string rows(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += row(i, 1 + i % 2);
  return text;
}

TEST(WinoGrande, ShotsFromTheTrainSplit) {
  const TaskData data;
  data.write("winogrande/train_xl.jsonl", rows(7));
  data.write("winogrande/dev.jsonl", row(77, 2) + row(1, 2));
  const std::vector<Example> examples = data.load("winogrande", {.shots = 5});
  ASSERT_EQ(examples.size(), 2u);
  // random.Random(1234): sample(range(7), 6) gives 6, 3, 0, 4, 5, 2, of which five are shown.
  EXPECT_EQ(scored_text(examples[0], 1),
            "s6 saw Ann there .\n\ns3 saw Bob3 there .\n\ns0 saw Ann there .\n\n"
            "s4 saw Ann there .\n\ns5 saw Bob5 there .\n\n"
            "s77 saw Bob77| there .");
  EXPECT_EQ(examples[0].gold, 1);
  // Then 5, 6, 0, 4, 1, 3, of which 1 is the question itself.
  EXPECT_EQ(scored_text(examples[1], 0),
            "s5 saw Bob5 there .\n\ns6 saw Ann there .\n\ns0 saw Ann there .\n\n"
            "s4 saw Ann there .\n\ns3 saw Bob3 there .\n\n"
            "s1 saw Ann| there .");
  EXPECT_EQ(scores("winogrande", examples[0], {-2, -1}), (std::vector<double>{1}));
  EXPECT_EQ(scores("winogrande", examples[0], {-1, -2}), (std::vector<double>{0}));
}

TEST(WinoGrande, ShotsFromTheEvaluatedSplitWithoutTheQuestion) {
  const TaskData data;
  data.write("winogrande/validation.jsonl", rows(7));
  const std::vector<Example> examples = data.load("winogrande", {.shots = 5});
  ASSERT_EQ(examples.size(), 7u);
  EXPECT_EQ(scored_text(examples[0], 0),
            "s6 saw Ann there .\n\ns3 saw Bob3 there .\n\ns4 saw Ann there .\n\n"
            "s5 saw Bob5 there .\n\ns2 saw Ann there .\n\ns0 saw Ann| there .");
}

TEST(WinoGrande, RowsAsInstructions) {
  const TaskData data;
  std::string text = "[";
  for (int i = 0; i < 6; ++i) {
    text +=
        fmt::format(R"({{"instruction": "Please choose the correct answer to fill in the blank to )"
                    R"(complete the given sentence: s{0} saw _ there .\n\nOption1: Ann Option2: )"
                    R"(Bob{0} Answer format: option1/option2", "input": "", "output": "the )"
                    R"(correct answer is option{1}", "answer": "option{1}"}})",
                    i, 1 + i % 2);
    text += i < 5 ? "," : "]";
  }
  const TaskData same;
  same.write("winogrande/validation.jsonl", rows(6));
  data.write("winogrande/test.json", text);
  const std::vector<Example> examples = data.load("winogrande", {.shots = 5}),
                             expected = same.load("winogrande", {.shots = 5});
  ASSERT_EQ(examples.size(), 6u);
  for (size_t i = 0; i < examples.size(); ++i) {
    EXPECT_EQ(scored_text(examples[i], 1), scored_text(expected[i], 1));
    EXPECT_EQ(examples[i].gold, expected[i].gold);
  }
}

TEST(WinoGrande, Errors) {
  const TaskData data;
  data.expect_load_error("winogrande", {"winogrande/validation.jsonl"});
  data.write("winogrande/validation.jsonl", rows(5));
  data.expect_load_error("winogrande", {"validation.jsonl", "at least 6", "found 5"}, {.shots = 5});
  data.write("winogrande/validation.jsonl", rows(6) + row(6, 3));
  data.expect_load_error("winogrande", {"validation.jsonl:7", "1 or 2", "\"3\""});
  data.write("winogrande/validation.jsonl",
             R"({"sentence": "no blank", "option1": "a", "option2": "b", "answer": "1"})");
  data.expect_load_error("winogrande", {"validation.jsonl:1", "\"_\"", "no blank"});
  data.write("winogrande/validation.jsonl", R"({"instruction": "what?", "answer": "option1"})");
  data.expect_load_error("winogrande", {"validation.jsonl:1", "the given sentence: "});
}

}  // namespace
}  // namespace evo::eval
