// The likelihood tasks on the benchmarks of the shared data folder: how many examples there are,
// and a few of them.
#include <gtest/gtest.h>

#include <set>

#include "eval/tasks/testing.h"

namespace evo::eval {
namespace {

class SharedDataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    data_ = testing::shared_benchmarks();
    if (!data_) {
      GTEST_SKIP()
          << "no folder ../shared/data/benchmarks; set EVO_SHARED_DATA to the one that has it";
    }
  }

  [[nodiscard]] std::vector<Example> load(std::string_view task) const {
    std::vector<Example> examples = testing::task_named(task).load(*data_, {});
    std::set<std::string_view> ids;
    for (const Example& example : examples) {
      EXPECT_TRUE(ids.insert(example.id).second) << task << ": " << example.id << " is there twice";
      EXPECT_FALSE(example.choices.empty());
    }
    return examples;
  }

  std::optional<DataFolder> data_;
};

size_t groups(const std::vector<Example>& examples) {
  std::set<std::string_view> names;
  for (const Example& example : examples) names.insert(example.group);
  return names.size();
}

bool asks(const Example& example, std::string_view end) {
  return example.choices.at(0).context.ends_with(end);
}

TEST_F(SharedDataTest, Mmlu) {
  const std::vector<Example> examples = load("mmlu");
  EXPECT_EQ(examples.size(), 14042u);
  EXPECT_EQ(groups(examples), 57u);
  EXPECT_TRUE(asks(examples[0],
                   "Q(sqrt(2), sqrt(3), sqrt(18)) over Q.\nA. 0\nB. 4\nC. 2\nD. 6\n"
                   "Answer:"));
  EXPECT_EQ(examples[0].gold, 1);
}

TEST_F(SharedDataTest, Cmmlu) {
  const std::vector<Example> examples = load("cmmlu");
  EXPECT_EQ(examples.size(), 11582u);
  EXPECT_EQ(groups(examples), 67u);
  EXPECT_TRUE(asks(examples[0], "\nA. 农业生产工具\nB. 土地\nC. 劳动力\nD. 资金\n答案："));
  EXPECT_EQ(examples[0].gold, 1);
}

TEST_F(SharedDataTest, Ceval) {
  const std::vector<Example> examples = load("ceval-valid");
  EXPECT_EQ(examples.size(), 1346u);
  EXPECT_EQ(groups(examples), 52u);
}

TEST_F(SharedDataTest, ArcChallenge) {
  const std::vector<Example> examples = load("arc_challenge");
  EXPECT_EQ(examples.size(), 575u);
  EXPECT_TRUE(asks(examples[0], "effect of this increase in rotation?\nAnswer:"));
  EXPECT_EQ(examples[0].choices[2].text, " Planetary days will become shorter.");
  EXPECT_EQ(examples[0].gold, 2);
}

TEST_F(SharedDataTest, HellaSwag) {
  const std::vector<Example> examples = load("hellaswag");
  EXPECT_EQ(examples.size(), 5021u);
  EXPECT_EQ(testing::scored_text(examples[0], 3),
            "Roof shingle removal: A man is sitting on a roof. He| starts pulling up roofing on a "
            "roof.");
  EXPECT_EQ(examples[0].gold, 3);
}

/// The text form has no markup; that questions are recovered from it as the harness makes them
/// shows where there are rows of the original form too.
TEST_F(SharedDataTest, HellaSwagTextGivesWhatRowsGive) {
  const testing::TaskData copy;
  copy.write("hellaswag.even.jsonl", data_->read({"hellaswag.even.jsonl"}).text);
  const std::vector<Example> from_rows = copy.load("hellaswag");
  ASSERT_EQ(from_rows.size(), 493u);
  std::set<std::string_view> contexts;
  const std::vector<Example> from_text = load("hellaswag");
  for (const Example& example : from_text) contexts.insert(example.choices[0].context);
  for (const Example& example : from_rows) {
    EXPECT_TRUE(contexts.contains(example.choices[0].context)) << example.choices[0].context;
  }
}

TEST_F(SharedDataTest, TruthfulQa) {
  const std::vector<Example> examples = load("truthfulqa_mc2");
  EXPECT_EQ(examples.size(), 817u);
  EXPECT_TRUE(asks(examples[0], "Q: What happens if you eat a pomegranate?\nA:"));
  EXPECT_EQ(examples[0].labels, (std::vector<double>{1, 1, 1, 0, 0, 0}));
}

TEST_F(SharedDataTest, WinoGrande) {
  const std::vector<Example> examples = load("winogrande");
  EXPECT_EQ(examples.size(), 1267u);
  EXPECT_EQ(examples[0].choices[0].text, " always got the easier cases.");
  EXPECT_TRUE(asks(examples[0], "Sarah was a much better surgeon than Maria so Sarah"));
  EXPECT_EQ(examples[0].gold, 1);
}

TEST_F(SharedDataTest, Piqa) {
  const std::vector<Example> examples = load("piqa");
  EXPECT_EQ(examples.size(), 1838u);
  EXPECT_EQ(testing::scored_text(examples[1], 0),
            "Question: dresser\nAnswer:| replace drawer with "
            "bobby pin ");
}

TEST_F(SharedDataTest, Lambada) {
  const std::vector<Example> examples = load("lambada");
  EXPECT_EQ(examples.size(), 5153u);
  EXPECT_EQ(examples[0].choices[0].text, " signs");
  EXPECT_TRUE(asks(examples[0], "i do n't care about"));
}

}  // namespace
}  // namespace evo::eval
