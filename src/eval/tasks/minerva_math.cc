// MATH: competition problems, answered with Minerva's prompt of four worked ones.
#include <array>

#include "base/error.h"
#include "eval/tasks/choices.h"
#include "eval/tasks/families.h"
#include "eval/tasks/minerva_answer.h"
#include "eval/tasks/parts.h"
#include "eval/tasks/shots.h"

namespace evo::eval {
namespace {

struct Solved {
  std::string_view problem, solution;
};

// list_fewshot_samples() of the harness's utils.py, which are those of Lewkowycz et al. 2022
// (appendix D.1).
constexpr std::array<Solved, 4> kSolved = {
    {{R"(Find the domain of the expression  $\frac{\sqrt{x-2}}{\sqrt{5-x}}$.)",
      R"(The expressions inside each square root must be non-negative. Therefore, $x-2 \ge 0$, so $x\ge2$, and $5 - x \ge 0$, so $x \le 5$. Also, the denominator cannot be equal to zero, so $5-x>0$, which gives $x<5$. Therefore, the domain of the expression is $\boxed{[2,5)}$.
Final Answer: The final answer is $[2,5)$. I hope it is correct.)"},
     {R"(If $\det \mathbf{A} = 2$ and $\det \mathbf{B} = 12,$ then find $\det (\mathbf{A} \mathbf{B}).$)",
      R"(We have that $\det (\mathbf{A} \mathbf{B}) = (\det \mathbf{A})(\det \mathbf{B}) = (2)(12) = \boxed{24}.$
Final Answer: The final answer is $24$. I hope it is correct.)"},
     {R"(Terrell usually lifts two 20-pound weights 12 times. If he uses two 15-pound weights instead, how many times must Terrell lift them in order to lift the same total weight?)",
      R"(If Terrell lifts two 20-pound weights 12 times, he lifts a total of $2\cdot 12\cdot20=480$ pounds of weight.  If he lifts two 15-pound weights instead for $n$ times, he will lift a total of $2\cdot15\cdot n=30n$ pounds of weight.  Equating this to 480 pounds, we can solve for $n$:
\begin{align*}
30n&=480\\
\Rightarrow\qquad n&=480/30=\boxed{16}
\end{align*}
Final Answer: The final answer is $16$. I hope it is correct.)"},
     {R"(If the system of equations

\begin{align*}
6x-4y&=a,\\
6y-9x &=b.
\end{align*}has a solution $(x, y)$ where $x$ and $y$ are both nonzero,
find $\frac{a}{b},$ assuming $b$ is nonzero.)",
      R"(If we multiply the first equation by $-\frac{3}{2}$, we obtain

$$6y-9x=-\frac{3}{2}a.$$Since we also know that $6y-9x=b$, we have

$$-\frac{3}{2}a=b\Rightarrow\frac{a}{b}=\boxed{-\frac{2}{3}}.$$
Final Answer: The final answer is $-\frac{2}{3}$. I hope it is correct.)"}}};

// The subtasks' folders in Hugging Face's EleutherAI/hendrycks_math, in the harness's order.
constexpr std::array<std::string_view, 7> kSubjects = {"algebra",       "counting_and_probability",
                                                       "geometry",      "intermediate_algebra",
                                                       "number_theory", "prealgebra",
                                                       "precalculus"};

std::string asked(std::string_view problem) {
  return fmt::format("Problem:\n{}\n\nSolution:", problem);
}

std::vector<Shot> worked_examples() {
  std::vector<Shot> examples;
  examples.reserve(kSolved.size());
  for (const Solved& solved : kSolved) {
    examples.push_back({asked(solved.problem), std::string(solved.solution)});
  }
  return examples;
}

TaskInfo math_info(std::string name, std::vector<std::string> files) {
  TaskInfo info;
  info.name = std::move(name);
  info.version = "3.1";
  info.source = "lm-evaluation-harness 0.4.13, lm_eval/tasks/minerva_math";
  info.shots = static_cast<int>(kSolved.size());
  info.metrics = {{"exact_match"}};
  info.files = std::move(files);
  return info;
}

/// What both tasks share. Answers whose normal forms are equal texts are right. The harness goes on
/// to ask sympy whether the difference of the two, read as LaTeX, is 0; we have no algebra system,
/// so that we count as wrong what is equal in another form (0.5 for \frac{1}{2}). Its second
/// metric, math_verify, which reads whole solutions, is left out for the same reason.
class MathTask : public Task {
 public:
  using Task::Task;

  std::vector<double> grade(const Example& example, const Outcome& outcome) const override {
    const std::string answer = normal_answer(stated_answer(outcome.text));
    return {answer == example.targets.at(0) ? 1.0 : 0.0};
  }

 protected:
  [[nodiscard]] Example example_of(const json::Record& row, std::string group,
                                   const TaskOptions& options) const {
    const std::optional<std::string> answer = boxed_answer(row.get_string("solution"));
    if (!answer) fail("{}: expected \\boxed{{answer}} in \"solution\", found none", row.source());
    Example example;
    example.group = std::move(group);
    const std::vector<Shot> shots = first_shots(*this, options, worked_examples());
    example.prompt = PromptWriter(options).write(shots, asked(row.get_string("problem")));
    example.stop = {"Problem:"};
    example.max_tokens = 256;  // the harness's default
    example.targets = {normal_answer(*answer)};
    return example;
  }
};

/// The test split, 5000 problems.
class MinervaMathTask : public MathTask {
 public:
  MinervaMathTask()
      : MathTask(math_info("minerva_math", {"hendrycks_math/algebra/test.jsonl ... "
                                            "hendrycks_math/precalculus/test.jsonl"})) {}

  std::vector<Example> load(const DataFolder& data, const TaskOptions& options) const override {
    std::vector<Example> examples;
    for (const std::string_view subject : kSubjects) {
      const std::string file = fmt::format("{}/test.jsonl", subject);
      const std::vector<json::Record> rows = read_rows(data.read(
          {"hendrycks_math/" + file, "minerva_math/" + file, "math/" + file, "MATH/" + file}));
      for (size_t i = 0; i < limited(rows.size(), options); ++i) {
        examples.push_back(example_of(rows[i], std::string(subject), options));
        examples.back().id = fmt::format("{}/{}", subject, i);
      }
    }
    return examples;
  }
};

/// The 500 problems of Lightman et al. 2023 ("Let's verify step by step").
class MinervaMath500Task : public MathTask {
 public:
  MinervaMath500Task()
      : MathTask(math_info("minerva_math500", {"math500/test.jsonl", "math500/test_ori.jsonl"})) {}

  std::vector<Example> load(const DataFolder& data, const TaskOptions& options) const override {
    const DataFile file =
        data.read({"math500/test.jsonl", "math500/test_ori.jsonl", "MATH-500/test.jsonl"});
    GroupLimit limit(options);
    std::vector<Example> examples;
    for (const json::Record& row : read_rows(file)) {
      std::string subject = row.get_string(row.has("subject") ? "subject" : "type");
      if (!limit.takes(subject)) continue;
      examples.push_back(example_of(row, std::move(subject), options));
      examples.back().id = row.get_string("unique_id");
    }
    return examples;
  }
};

}  // namespace

void add_minerva_math_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  tasks.push_back(std::make_unique<MinervaMathTask>());
  tasks.push_back(std::make_unique<MinervaMath500Task>());
}

}  // namespace evo::eval
