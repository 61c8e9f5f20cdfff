#include "eval/task.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/closest.h"
#include "base/error.h"
#include "eval/tasks/families.h"

namespace evo::eval {
namespace {

std::vector<std::unique_ptr<Task>> make_tasks() {
  std::vector<std::unique_ptr<Task>> tasks;
  add_mmlu_tasks(tasks);
  add_bbh_tasks(tasks);
  add_arc_tasks(tasks);
  add_hellaswag_tasks(tasks);
  add_truthfulqa_tasks(tasks);
  add_winogrande_tasks(tasks);
  add_piqa_tasks(tasks);
  add_gsm8k_tasks(tasks);
  add_minerva_math_tasks(tasks);
  add_gpqa_tasks(tasks);
  add_humaneval_tasks(tasks);
  add_mbpp_tasks(tasks);
  add_cmmlu_tasks(tasks);
  add_ceval_tasks(tasks);
  add_lambada_tasks(tasks);
  add_planning_tasks(tasks);
  return tasks;
}

const Task& task_named(std::string_view name) {
  std::vector<std::string> names;
  for (const std::unique_ptr<Task>& task : all_tasks()) {
    if (task->info().name == name) return *task;
    names.push_back(task->info().name);
  }
  throw UsageError(fmt::format("there is no task \"{}\"; expected \"all\" or some of {}{}", name,
                               fmt::join(names, ", "), did_you_mean(name, names)));
}

}  // namespace

const std::vector<std::unique_ptr<Task>>& all_tasks() {
  static const std::vector<std::unique_ptr<Task>> kTasks = make_tasks();
  return kTasks;
}

std::vector<const Task*> find_tasks(std::string_view names) {
  std::vector<const Task*> found;
  if (names == "all") {
    for (const std::unique_ptr<Task>& task : all_tasks()) found.push_back(task.get());
    return found;
  }
  while (true) {
    const size_t comma = std::min(names.find(','), names.size());
    const Task& task = task_named(names.substr(0, comma));
    if (std::find(found.begin(), found.end(), &task) == found.end()) found.push_back(&task);
    if (comma == names.size()) return found;
    names.remove_prefix(comma + 1);
  }
}

}  // namespace evo::eval
