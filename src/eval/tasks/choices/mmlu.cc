// MMLU (Hendrycks et al. 2021, "Measuring massive multitask language understanding").
#include <algorithm>

#include "base/error.h"
#include "eval/tasks/choices/subjects.h"
#include "eval/tasks/families.h"

namespace evo::eval {
namespace {

constexpr Exam::Subject kSubjects[] = {
    {"abstract_algebra", ""},
    {"anatomy", ""},
    {"astronomy", ""},
    {"business_ethics", ""},
    {"clinical_knowledge", ""},
    {"college_biology", ""},
    {"college_chemistry", ""},
    {"college_computer_science", ""},
    {"college_mathematics", ""},
    {"college_medicine", ""},
    {"college_physics", ""},
    {"computer_security", ""},
    {"conceptual_physics", ""},
    {"econometrics", ""},
    {"electrical_engineering", ""},
    {"elementary_mathematics", ""},
    {"formal_logic", ""},
    {"global_facts", ""},
    {"high_school_biology", ""},
    {"high_school_chemistry", ""},
    {"high_school_computer_science", ""},
    {"high_school_european_history", ""},
    {"high_school_geography", ""},
    {"high_school_government_and_politics", ""},
    {"high_school_macroeconomics", ""},
    {"high_school_mathematics", ""},
    {"high_school_microeconomics", ""},
    {"high_school_physics", ""},
    {"high_school_psychology", ""},
    {"high_school_statistics", ""},
    {"high_school_us_history", ""},
    {"high_school_world_history", ""},
    {"human_aging", ""},
    {"human_sexuality", ""},
    {"international_law", ""},
    {"jurisprudence", ""},
    {"logical_fallacies", ""},
    {"machine_learning", ""},
    {"management", ""},
    {"marketing", ""},
    {"medical_genetics", ""},
    {"miscellaneous", ""},
    {"moral_disputes", ""},
    {"moral_scenarios", ""},
    {"nutrition", ""},
    {"philosophy", ""},
    {"prehistory", ""},
    {"professional_accounting", ""},
    {"professional_law", ""},
    {"professional_medicine", ""},
    {"professional_psychology", ""},
    {"public_relations", ""},
    {"security_studies", ""},
    {"sociology", ""},
    {"us_foreign_policy", ""},
    {"virology", ""},
    {"world_religions", ""},
};

/// Hugging Face's rows have "choices" and the index of the right one, the original files have
/// columns.
ExamQuestion parse(const json::Record& row) {
  if (!row.has("choices")) return lettered_question(row, "question", "answer");
  ExamQuestion result{row.get_string("question"), {}, row.get_int("answer")};
  const std::vector<std::string> choices = row.get_strings("choices");
  if (choices.size() != result.options.size() || result.answer < 0 || result.answer > 3) {
    fail("{}: expected 4 choices and an \"answer\" of 0 to 3, found {} and {}", row.source(),
         choices.size(), result.answer);
  }
  std::copy(choices.begin(), choices.end(), result.options.begin());
  return result;
}

}  // namespace

void add_mmlu_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  TaskInfo info;
  info.name = "mmlu";
  info.version = "1.0";
  info.source = "lm-evaluation-harness 0.4.13: lm_eval/tasks/mmlu/default/_default_template_yaml";
  info.metrics = {{.name = "acc", .chance = 0.25}};
  Exam exam;
  exam.subjects = kSubjects;
  exam.description = "The following are multiple choice questions (with answers) about {}.\n\n";
  exam.answer_prompt = "Answer:";
  exam.shot_split = "dev";
  exam.test_split = "test";
  exam.files = {"data/SPLIT/SUBJECT_SPLIT.csv", "mmlu/SPLIT/SUBJECT_SPLIT.csv",
                "mmlu/SUBJECT/SPLIT.jsonl"};
  exam.columns = {"question", "A", "B", "C", "D", "answer"};
  exam.parse = parse;
  tasks.push_back(std::make_unique<ExamTask>(std::move(info), std::move(exam)));
}

}  // namespace evo::eval
