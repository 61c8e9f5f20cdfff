#include <gtest/gtest.h>

#include "eval/tasks/minerva_answer.h"
#include "eval/tasks/testing.h"

namespace evo::eval {
namespace {

using testing::task_named;
using testing::TaskData;

constexpr std::string_view kRows =
    R"({"problem": "What is $1+1$?", "solution": "It is $\\boxed{2}$, not \\boxed{3}? No: \\boxed{\\frac12}.", "answer": "x", "subject": "Algebra", "level": 1, "unique_id": "test/algebra/1.json"}
{"problem": "Second?", "solution": "\\boxed{4}", "answer": "4", "subject": "Geometry", "level": 1, "unique_id": "test/geometry/2.json"}
{"problem": "Third?", "solution": "\\boxed{5}", "answer": "5", "subject": "Algebra", "level": 1, "unique_id": "test/algebra/3.json"}
)";

// Minerva's four problems as lm-evaluation-harness 0.4.13 joins them.
constexpr std::string_view kShots =
    "Problem:\nFind the domain of the expression  $\\frac{\\sqrt{x-2}}{\\sqrt{5-x}}$.\n\n"
    "Solution: The expressions inside each square root must be non-negative. Therefore, $x-2 \\ge "
    "0$, so $x\\ge2$, and $5 - x \\ge 0$, so $x \\le 5$. Also, the denominator cannot be equal to "
    "zero, so $5-x>0$, which gives $x<5$. Therefore, the domain of the expression is "
    "$\\boxed{[2,5)}$.\nFinal Answer: The final answer is $[2,5)$. I hope it is correct.\n\n"
    "Problem:\nIf $\\det \\mathbf{A} = 2$ and $\\det \\mathbf{B} = 12,$ then find $\\det "
    "(\\mathbf{A} \\mathbf{B}).$\n\n"
    "Solution: We have that $\\det (\\mathbf{A} \\mathbf{B}) = (\\det \\mathbf{A})(\\det "
    "\\mathbf{B}) = (2)(12) = \\boxed{24}.$\nFinal Answer: The final answer is $24$. I hope it is "
    "correct.\n\n"
    "Problem:\nTerrell usually lifts two 20-pound weights 12 times. If he uses two 15-pound "
    "weights instead, how many times must Terrell lift them in order to lift the same total "
    "weight?\n\n"
    "Solution: If Terrell lifts two 20-pound weights 12 times, he lifts a total of $2\\cdot "
    "12\\cdot20=480$ pounds of weight.  If he lifts two 15-pound weights instead for $n$ times, he "
    "will lift a total of $2\\cdot15\\cdot n=30n$ pounds of weight.  Equating this to 480 pounds, "
    "we can solve for $n$:\n\\begin{align*}\n30n&=480\\\\\n\\Rightarrow\\qquad "
    "n&=480/30=\\boxed{16}\n\\end{align*}\nFinal Answer: The final answer is $16$. I hope it is "
    "correct.\n\n"
    "Problem:\nIf the system of equations\n\n\\begin{align*}\n6x-4y&=a,\\\\\n6y-9x "
    "&=b.\n\\end{align*}has a solution $(x, y)$ where $x$ and $y$ are both nonzero,\nfind "
    "$\\frac{a}{b},$ assuming $b$ is nonzero.\n\n"
    "Solution: If we multiply the first equation by $-\\frac{3}{2}$, we obtain\n\n"
    "$$6y-9x=-\\frac{3}{2}a.$$Since we also know that $6y-9x=b$, we have\n\n"
    "$$-\\frac{3}{2}a=b\\Rightarrow\\frac{a}{b}=\\boxed{-\\frac{2}{3}}.$$\nFinal Answer: The final "
    "answer is $-\\frac{2}{3}$. I hope it is correct.\n\n";

double graded(const Example& example, const std::string& text) {
  Outcome outcome;
  outcome.text = text;
  return task_named("minerva_math500").grade(example, outcome).at(0);
}

TEST(MinervaMath, PromptByteForByte) {
  const TaskData data;
  data.write("math/math500/test_ori.jsonl", kRows);
  const std::vector<Example> examples = data.load("minerva_math500");
  ASSERT_EQ(examples.size(), 3u);
  EXPECT_EQ(examples[0].prompt, std::string(kShots) + "Problem:\nWhat is $1+1$?\n\nSolution:");
  EXPECT_EQ(examples[0].stop, std::vector<std::string>{"Problem:"});
  EXPECT_EQ(examples[0].max_tokens, 256);
  EXPECT_EQ(examples[0].id, "test/algebra/1.json");
  EXPECT_EQ(examples[0].group, "Algebra");
  EXPECT_EQ(examples[0].targets, std::vector<std::string>{"\\frac{1}{2}"}) << "the last box";
  const std::vector<Example> some = data.load("minerva_math500", {.limit = 1});
  ASSERT_EQ(some.size(), 2u) << "one of each subject";
  EXPECT_EQ(some[1].id, "test/geometry/2.json");
}

TEST(MinervaMath, Grades) {
  const TaskData data;
  data.write("math500/test.jsonl", kRows);
  const Example half = data.load("minerva_math500").at(0);
  EXPECT_EQ(
      graded(half, " Final Answer: The final answer is $\\frac{1}{2}$. I hope it is correct."), 1);
  EXPECT_EQ(graded(half, "Final Answer: The final answer is $x = \\frac12$. I hope it is correct."),
            1);
  EXPECT_EQ(graded(half, "Final Answer: The final answer is $2$. I hope it is correct."), 0);
  EXPECT_EQ(graded(half, "The answer is $\\frac{1}{2}$."), 0) << "not in the asked form";
  EXPECT_EQ(graded(half, ""), 0);
}

TEST(MinervaMath, EverySubjectOfTheWholeSplit) {
  const TaskData data;
  for (const char* subject : {"algebra", "counting_and_probability", "geometry",
                              "intermediate_algebra", "number_theory", "prealgebra"}) {
    data.write(fmt::format("hendrycks_math/{}/test.jsonl", subject),
               R"({"problem": "p", "level": "Level 1", "type": "T", "solution": "\\boxed{1}"})");
  }
  testing::expect_error<MissingData>([&] { static_cast<void>(data.load("minerva_math")); },
                                     {"hendrycks_math/precalculus/test.jsonl"});
  data.write("hendrycks_math/precalculus/test.jsonl",
             R"({"problem": "p", "level": "Level 1", "type": "T", "solution": "\\boxed{1}"})");
  const std::vector<Example> examples = data.load("minerva_math");
  ASSERT_EQ(examples.size(), 7u);
  EXPECT_EQ(examples[1].id, "counting_and_probability/0");
  EXPECT_EQ(examples[1].group, "counting_and_probability");
  EXPECT_EQ(examples[6].prompt, std::string(kShots) + "Problem:\np\n\nSolution:");
}

TEST(MinervaMath, FaultyFilesAreRefused) {
  const TaskData data;
  testing::expect_error<MissingData>([&] { static_cast<void>(data.load("minerva_math500")); },
                                     {"math500/test.jsonl"});
  data.write("math500/test.jsonl", R"({"problem": "p", "solution": "42", "subject": "a"})");
  data.expect_load_error("minerva_math500", {"test.jsonl", "\\boxed{answer}", "found none"});
}

// The expected values below are those of the harness's functions, run by python3.
TEST(MinervaAnswer, Boxed) {
  EXPECT_EQ(boxed_answer("so \\boxed{\\frac{1}{2}} it is"), "\\frac{1}{2}");
  EXPECT_EQ(boxed_answer("\\boxed{1} \\boxed{2}"), "2");
  EXPECT_EQ(boxed_answer("$\\boxed 17$ done"), "17");
  EXPECT_EQ(boxed_answer("\\boxed{open"), std::nullopt);
  EXPECT_EQ(boxed_answer("\\fbox{1}"), std::nullopt);
  EXPECT_EQ(boxed_answer(""), std::nullopt);
}

TEST(MinervaAnswer, Stated) {
  EXPECT_EQ(stated_answer("Final Answer: The final answer is $5$. I hope it is correct."), "$5$");
  EXPECT_EQ(stated_answer("Final Answer: The final answer is $5$. "), "$5$") << "cut short";
  EXPECT_EQ(stated_answer("Final Answer: The final answer is $5$."), "[invalidanswer]");
  EXPECT_EQ(stated_answer("Final Answer: The final answer is\n5. I hope it is correct."),
            "[invalidanswer]");
  EXPECT_EQ(stated_answer("Final Answer: The final answer is 5\u00E9 I hope it is correct."), "5")
      << "the character before the second sentence may be any";
  EXPECT_EQ(stated_answer(""), "[invalidanswer]");
}

TEST(MinervaAnswer, NormalForm) {
  EXPECT_EQ(normal_answer("x = 5"), "5");
  EXPECT_EQ(normal_answer("the sum is $12$ units in $x$"), "12");
  EXPECT_EQ(normal_answer("\\text{(B)}"), "(B)");
  EXPECT_EQ(normal_answer("\\textbf{7}"), "7");
  EXPECT_EQ(normal_answer("\\frac12"), "\\frac{1}{2}");
  EXPECT_EQ(normal_answer("\\sqrt3"), "\\sqrt{3}");
  EXPECT_EQ(normal_answer("\\frac{1}{2}"), "\\frac{1}{2}");
  EXPECT_EQ(normal_answer("100,000"), "100000");
  EXPECT_EQ(normal_answer("1,2,x"), "1,2,x");
  EXPECT_EQ(normal_answer("90^\\circ"), "90");
  EXPECT_EQ(normal_answer("10 \\text{ meters}"), "10");
  EXPECT_EQ(normal_answer("\\$5.50"), "5.50");
  EXPECT_EQ(normal_answer("11\\! 111"), "11\\!111");
  EXPECT_EQ(normal_answer("11,\\! 111"), "11111");
  EXPECT_EQ(normal_answer(""), "");
}

TEST(MinervaMath, SharedData) {
  const auto data = testing::shared_benchmarks();
  if (!data) GTEST_SKIP() << "no folder ../shared/data/benchmarks";
  const std::vector<Example> examples = task_named("minerva_math500").load(*data, {});
  ASSERT_EQ(examples.size(), 500u);
  EXPECT_EQ(examples[0].id, "test/precalculus/807.json");
  EXPECT_EQ(examples[0].group, "Precalculus");
  // The normal form takes the unit "ft" out wherever it stands.
  EXPECT_EQ(examples[0].targets[0], "\\le(3,\\frac{\\pi}{2}\\right)");
  EXPECT_EQ(examples[1].targets[0], "p-q");
  for (const Example& example : examples) {
    EXPECT_EQ(graded(example, "Final Answer: The final answer is $" + example.targets[0] +
                                  "$. I hope it is correct."),
              1)
        << example.id;
  }
}

}  // namespace
}  // namespace evo::eval
