// MMLU, CMMLU and C-Eval: the same form, other words.
#include <gtest/gtest.h>

#include "eval/data/python_text.h"
#include "eval/tasks/choices/subjects.h"
#include "eval/tasks/testing.h"

namespace evo::eval {
namespace {

using testing::scored_text;
using testing::scores;
using testing::TaskData;

/// Writes the same text to a file of each subject; "SUBJECT" in its name stands for the subject.
void write_all(const TaskData& data, std::string_view task, std::string_view name,
               std::string_view text) {
  const auto& exam = dynamic_cast<const ExamTask&>(testing::task_named(task)).exam();
  for (const Exam::Subject& subject : exam.subjects) {
    data.write(replaced(name, "SUBJECT", subject.key), text);
  }
}

constexpr std::string_view kMmluShots = "mmlu/data/dev/SUBJECT_dev.csv";
constexpr std::string_view kMmluQuestions = "mmlu/data/test/SUBJECT_test.csv";
constexpr std::string_view kShots =
    "What is 1 + 1?,1,2,3,4,B\n"
    "\"Is \"\"x, y\"\" one word?\",yes,no,\"maybe, or not\",never,B\n"
    "q3,a,b,c,d,A\nq4,a,b,c,d,C\nq5,a,b,c,d,D\nq6,not,shown,at,all,A\n";

TEST(Mmlu, PromptByteForByte) {
  const TaskData data;
  write_all(data, "mmlu", kMmluShots, kShots);
  write_all(data, "mmlu", kMmluQuestions, "  Which one? ,\"p, q\",r,s ,t,C\nAnother?,1,2,3,4,A\n");
  const std::vector<Example> examples = data.load("mmlu", {.shots = 5});
  ASSERT_EQ(examples.size(), 2u * 57);
  EXPECT_EQ(scored_text(examples[0], 2),
            "The following are multiple choice questions (with answers) about abstract algebra.\n\n"
            "What is 1 + 1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: B\n\n"
            "Is \"x, y\" one word?\nA. yes\nB. no\nC. maybe, or not\nD. never\nAnswer: B\n\n"
            "q3\nA. a\nB. b\nC. c\nD. d\nAnswer: A\n\n"
            "q4\nA. a\nB. b\nC. c\nD. d\nAnswer: C\n\n"
            "q5\nA. a\nB. b\nC. c\nD. d\nAnswer: D\n\n"
            "Which one?\nA. p, q\nB. r\nC. s \nD. t\nAnswer:| C");
  EXPECT_EQ(examples[0].choices.size(), 4u);
  EXPECT_EQ(examples[0].choices[0].context, examples[0].choices[3].context);
  EXPECT_EQ(examples[0].gold, 2);
  EXPECT_EQ(examples[0].id, "abstract_algebra/0");
  EXPECT_EQ(examples[1].gold, 0);
  EXPECT_EQ(examples.back().id, "world_religions/1");
  EXPECT_EQ(examples.back().group, "world_religions");
  EXPECT_NE(examples.back().choices[0].context.find("about world religions.\n\n"),
            std::string::npos);
  EXPECT_EQ(scores("mmlu", examples[0], {-3, -2, -1, -4}), (std::vector<double>{1}));
  EXPECT_EQ(scores("mmlu", examples[0], {-3, -1, -2, -4}), (std::vector<double>{0}));
}

TEST(Mmlu, LimitIsPerSubject) {
  const TaskData data;
  write_all(data, "mmlu", kMmluShots, kShots);
  write_all(data, "mmlu", kMmluQuestions, "q,a,b,c,d,C\nr,a,b,c,d,A\n");
  const std::vector<Example> examples = data.load("mmlu", {.limit = 1});
  ASSERT_EQ(examples.size(), 57u);
  EXPECT_EQ(examples[1].id, "anatomy/0");
}

TEST(Mmlu, HuggingFaceRows) {
  const TaskData data;
  std::string rows;
  for (int i = 0; i < 5; ++i) {
    rows += R"({"question": "q ", "subject": "s", "choices": ["a", "b", "c", "d"], "answer": 3})";
    rows += "\n";
  }
  write_all(data, "mmlu", "mmlu/SUBJECT/dev.jsonl", rows);
  write_all(data, "mmlu", "mmlu/SUBJECT/test.jsonl", rows);
  const std::vector<Example> examples = data.load("mmlu", {.shots = 5});
  ASSERT_EQ(examples.size(), 5u * 57);
  EXPECT_TRUE(
      examples[0].choices[3].context.ends_with("Answer: D\n\nq\nA. a\nB. b\nC. c\nD. d\nAnswer:"));
  EXPECT_EQ(examples[0].gold, 3);
}

TEST(Mmlu, Errors) {
  const TaskData data;
  data.expect_load_error("mmlu", {"data/test/abstract_algebra_test.csv"});
  data.expect_load_error("mmlu", {"data/dev/abstract_algebra_dev.csv"}, {.shots = 5});
  write_all(data, "mmlu", kMmluShots, kShots);
  write_all(data, "mmlu", kMmluQuestions, "q,a,b,c,d,E\n");
  data.expect_load_error("mmlu", {"abstract_algebra_test.csv:1", "A, B, C or D", "\"E\""});
  write_all(data, "mmlu", kMmluQuestions, "q,a,b,c,d,A\nq,a,b,c\n");
  data.expect_load_error("mmlu", {"abstract_algebra_test.csv:2", "6 values, found 4"});
  write_all(data, "mmlu", kMmluShots, "q,a,b,c,d,A\n");
  data.expect_load_error("mmlu", {"abstract_algebra_dev.csv", "5 worked examples", "found 1"},
                         {.shots = 5});
}

TEST(Cmmlu, PromptByteForByte) {
  const TaskData data;
  const std::string rows =
      ",Question,A,B,C,D,Answer\n0,1加1等于几？,1,2,3,4,B\n1,q2,a,b,c,d,A\n"
      "2,q3,a,b,c,d,C\n3,q4,a,b,c,d,D\n4,q5,a,b,c,d,A\n";
  write_all(data, "cmmlu", "cmmlu/dev/SUBJECT.csv", rows);
  write_all(data, "cmmlu", "cmmlu/test/SUBJECT.csv", rows);
  const std::vector<Example> examples = data.load("cmmlu", {.shots = 5});
  ASSERT_EQ(examples.size(), 5u * 67);
  EXPECT_EQ(scored_text(examples[0], 1),
            "以下是关于农学的单项选择题，请直接给出正确答案的选项。\n\n"
            "1加1等于几？\nA. 1\nB. 2\nC. 3\nD. 4\n答案： B\n\n"
            "q2\nA. a\nB. b\nC. c\nD. d\n答案： A\n\nq3\nA. a\nB. b\nC. c\nD. d\n答案： C\n\n"
            "q4\nA. a\nB. b\nC. c\nD. d\n答案： D\n\nq5\nA. a\nB. b\nC. c\nD. d\n答案： A\n\n"
            "1加1等于几？\nA. 1\nB. 2\nC. 3\nD. 4\n答案：| B");
  EXPECT_EQ(examples[0].id, "agronomy/0");
  EXPECT_EQ(examples[0].gold, 1);
  EXPECT_EQ(scores("cmmlu", examples[0], {-2, -1, -3, -3}), (std::vector<double>{1, 1}));
  EXPECT_EQ(scores("cmmlu", examples[0], {-1, -2, -3, -3}), (std::vector<double>{0, 0}));
}

TEST(Ceval, PromptByteForByte) {
  const TaskData data;
  write_all(data, "ceval-valid", "ceval/dev/SUBJECT_dev.csv",
            "id,question,A,B,C,D,answer,explanation\r\n0,甲？,1,2,3,4,B,\"一\n二\"\r\n"
            "1,q2,a,b,c,d,A,\r\n2,q3,a,b,c,d,C,\r\n3,q4,a,b,c,d,D,\r\n4,q5,a,b,c,d,A,\r\n");
  write_all(data, "ceval-valid", "ceval/val/SUBJECT_val.csv",
            "id,question,A,B,C,D,answer\r\n0,乙？\u3000,5,6,7,8,D\r\n");
  const std::vector<Example> examples = data.load("ceval-valid", {.shots = 5});
  ASSERT_EQ(examples.size(), 52u);
  EXPECT_EQ(scored_text(examples[0], 3),
            "以下是中国关于计算机网络的单项选择题，请选出其中的正确答案。\n\n"
            "甲？\nA. 1\nB. 2\nC. 3\nD. 4\n答案： B\n\n"
            "q2\nA. a\nB. b\nC. c\nD. d\n答案： A\n\nq3\nA. a\nB. b\nC. c\nD. d\n答案： C\n\n"
            "q4\nA. a\nB. b\nC. c\nD. d\n答案： D\n\nq5\nA. a\nB. b\nC. c\nD. d\n答案： A\n\n"
            "乙？\nA. 5\nB. 6\nC. 7\nD. 8\n答案：| D");
  EXPECT_EQ(examples[0].id, "computer_network/0");
  EXPECT_EQ(examples[0].gold, 3);
  EXPECT_EQ(scores("ceval-valid", examples[0], {-2, -2, -3, -1}), (std::vector<double>{1, 1}));
  EXPECT_EQ(scores("ceval-valid", examples[0], {-2, -1, -3, -2}), (std::vector<double>{0, 0}));
}

}  // namespace
}  // namespace evo::eval
