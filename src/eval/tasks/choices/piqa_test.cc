#include <gtest/gtest.h>

#include "eval/tasks/testing.h"

namespace evo::eval {
namespace {

using testing::scored_text;
using testing::scores;
using testing::TaskData;

constexpr std::string_view kRows =
    "{\"goal\": \"Warm up soup.\", \"sol1\": \"Use a fridge. \", \"sol2\": \"Use a pot on a "
    "stove.\"}\n"
    "{\"goal\": \"ice\", \"sol1\": \"cold\", \"sol2\": \"warm\"}\n";

TEST(Piqa, OriginalRows) {
  const TaskData data;
  data.write("piqa/valid.jsonl", kRows);
  data.write("piqa/valid-labels.lst", "1\n0\n");
  const std::vector<Example> examples = data.load("piqa");
  ASSERT_EQ(examples.size(), 2u);
  EXPECT_EQ(scored_text(examples[0], 0), "Question: Warm up soup.\nAnswer:| Use a fridge. ");
  EXPECT_EQ(scored_text(examples[0], 1), "Question: Warm up soup.\nAnswer:| Use a pot on a stove.");
  EXPECT_EQ(examples[0].gold, 1);
  EXPECT_EQ(examples[1].gold, 0);
  // acc, acc_norm: -16 / 14 characters is less than -20 / 22.
  EXPECT_EQ(scores("piqa", examples[0], {-16, -20}), (std::vector<double>{0, 1}));
  EXPECT_EQ(scores("piqa", examples[0], {-16, -15}), (std::vector<double>{1, 1}));
}

TEST(Piqa, HuggingFaceRows) {
  const TaskData data;
  data.write("piqa/validation.jsonl",
             R"({"goal": "ice", "sol1": "cold", "sol2": "warm", "label": 1})");
  EXPECT_EQ(data.load("piqa").at(0).gold, 1);
}

TEST(Piqa, Errors) {
  const TaskData data;
  data.write("piqa/valid.jsonl", kRows);
  data.expect_load_error("piqa", {"valid-labels.lst"});
  data.write("piqa/valid-labels.lst", "1\n");
  data.expect_load_error("piqa", {"valid-labels.lst", "2 labels", "found 1"});
  data.write("piqa/valid-labels.lst", "1\n2\n");
  data.expect_load_error("piqa", {"valid-labels.lst:2", "0 or 1", "\"2\""});
  data.write("piqa/validation.jsonl",
             R"({"goal": "ice", "sol1": "cold", "sol2": "warm", "label": -1})");
  data.expect_load_error("piqa", {"validation.jsonl:1", "0 or 1", "-1"});
}

}  // namespace
}  // namespace evo::eval
