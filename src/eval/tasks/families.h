// The families of tasks; each adds its tasks to the list.
#pragma once

#include <memory>
#include <vector>

#include "eval/task.h"

namespace evo::eval {

void add_mmlu_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_cmmlu_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_ceval_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_arc_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_hellaswag_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_truthfulqa_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_winogrande_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_piqa_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_gpqa_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_lambada_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_gsm8k_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_minerva_math_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_bbh_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_humaneval_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_mbpp_tasks(std::vector<std::unique_ptr<Task>>& tasks);
void add_planning_tasks(std::vector<std::unique_ptr<Task>>& tasks);

}  // namespace evo::eval
