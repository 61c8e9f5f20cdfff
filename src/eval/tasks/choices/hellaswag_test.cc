#include <gtest/gtest.h>

#include "eval/tasks/markup.h"
#include "eval/tasks/testing.h"

namespace evo::eval {
namespace {

using testing::scored_text;
using testing::scores;
using testing::TaskData;

constexpr std::string_view kLines =
    "Rowing: Two people sit in a boat. the Boat\n"
    "2\nsinks.\nflies.\ngoes down the river.\nsings.\n"
    "Home: How to sweep. Take a broom. Sweep with it.\n"
    "0\nThen stop.\nThen eat.\nThen sing.\nThen fly.\n";

// Expected texts are those of `preprocess` in Python.
TEST(Markup, IsRemoved) {
  EXPECT_EQ(without_markup(" a [title] b [step] c  "), "a. b c");
  EXPECT_EQ(without_markup("[header] How"), " How");
  EXPECT_EQ(without_markup("x [a [b] c] d"), "x c] d");
  EXPECT_EQ(without_markup("[4+2] and [open"), " and [open");
  EXPECT_EQ(without_markup("a [b\nc] d [e]"), "a [b\nc] d ");
  EXPECT_EQ(without_markup("a    b"), "a  b");
}

TEST(HellaSwag, Rows) {
  const TaskData data;
  data.write("hellaswag/validation.jsonl",
             R"({"ind": 4, "activity_label": "Rowing", "ctx_a": "Two people sit in a boat.",)"
             R"( "ctx_b": "the Boat", "ctx": "not used", "endings": ["sinks.", "flies.",)"
             R"( "goes down the river.", "sings."], "label": "2"})"
             "\n"
             R"({"activity_label": "Home", "ctx_a": "[header] How to sweep [title] Take a broom.)"
             R"( [step] Sweep with it.", "ctx_b": "", "endings": ["[substeps] Then stop.",)"
             R"( "Then eat. [title] Eat.", "c", "d"], "label": 0})");
  const std::vector<Example> examples = data.load("hellaswag");
  ASSERT_EQ(examples.size(), 2u);
  EXPECT_EQ(scored_text(examples[0], 2),
            "Rowing: Two people sit in a boat. The boat| goes down the river.");
  EXPECT_EQ(examples[0].gold, 2);
  EXPECT_EQ(scored_text(examples[1], 0),
            "Home: How to sweep. Take a broom. Sweep with it.|  Then stop.");
  EXPECT_EQ(scored_text(examples[1], 1),
            "Home: How to sweep. Take a broom. Sweep with it.| Then eat.. Eat.");
  EXPECT_EQ(examples[1].gold, 0);
  // acc_norm, acc: per character -10 / 20 is the largest.
  EXPECT_EQ(scores("hellaswag", examples[0], {-6, -6, -10, -6}), (std::vector<double>{1, 0}));
  EXPECT_EQ(scores("hellaswag", examples[0], {-1, -6, -40, -6}), (std::vector<double>{0, 0}));
}

TEST(HellaSwag, SixLinesPerQuestion) {
  const TaskData data;
  data.write("hellaswag_val_full.txt", kLines);
  const std::vector<Example> examples = data.load("hellaswag");
  ASSERT_EQ(examples.size(), 2u);
  EXPECT_EQ(scored_text(examples[0], 2),
            "Rowing: Two people sit in a boat. The boat| goes down the river.");
  EXPECT_EQ(examples[0].gold, 2);
  EXPECT_EQ(scored_text(examples[1], 3),
            "Home: How to sweep. Take a broom. Sweep with it.| Then fly.");
  EXPECT_EQ(examples[1].gold, 0);
}

TEST(HellaSwag, Errors) {
  const TaskData data;
  data.expect_load_error("hellaswag", {"hellaswag/validation.jsonl"});
  data.write("hellaswag_val_full.txt", kLines.substr(0, kLines.size() - 10));
  data.expect_load_error("hellaswag", {"hellaswag_val_full.txt", "6 lines", "found 11"});
  data.write("hellaswag_val_full.txt", "q\n4\na\nb\nc\nd\n");
  data.expect_load_error("hellaswag", {"hellaswag_val_full.txt:2", "0 to 3", "\"4\""});
  data.write("hellaswag/validation.jsonl",
             R"({"activity_label": "a", "ctx_a": "b", "ctx_b": "", "endings": ["c"], "label": 0})");
  data.expect_load_error("hellaswag", {"validation.jsonl:1", "4 endings, found 1"});
}

}  // namespace
}  // namespace evo::eval
