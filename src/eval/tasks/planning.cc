// Planning puzzles as tasks: sudoku, countdown3 to countdown5, path_star. Their files are made by
// `evo eval make`.
#include "eval/data/data_folder.h"
#include "eval/planning/puzzle.h"
#include "eval/tasks/families.h"
#include "eval/tasks/prompt.h"

namespace evo::eval {
namespace {

class PuzzleTask final : public Task {
 public:
  explicit PuzzleTask(const PuzzleKind& kind) : Task(info_of(kind)), kind_(kind) {}

  [[nodiscard]] std::vector<Example> load(const DataFolder& data,
                                          const TaskOptions& options) const override {
    const PromptWriter writer(options);
    std::vector<Example> examples;
    for (const json::Record& row : json_rows(data.read(info().files))) {
      if (options.limit > 0 && std::cmp_equal(examples.size(), options.limit)) break;
      Example& example = examples.emplace_back();
      example.id = fmt::format("{}", examples.size() - 1);
      const std::string puzzle = row.get_string("prompt");
      example.prompt = writer.write({}, puzzle);
      example.targets = {row.get_string("completion"), puzzle};
      example.max_tokens =
          kind_.longest_answer() + 1;  // at worst a token per character, and the end
      if (!kind_.solves(puzzle, example.targets[0])) {
        fail("{}: its completion does not solve the puzzle; make the file with evo eval make",
             row.source());
      }
    }
    return examples;
  }

  [[nodiscard]] std::vector<double> grade(const Example& example,
                                          const Outcome& outcome) const override {
    return {kind_.solves(example.targets.at(1), outcome.text) ? 1.0 : 0.0};
  }

 private:
  static TaskInfo info_of(const PuzzleKind& kind) {
    const std::string name(kind.name());
    return {.name = name,
            .version = std::string("1"),
            .source = std::string(kind.source()),
            .takes_shots = false,
            .metrics = {{.name = "solved"}},
            .files = {name + ".test.jsonl"}};
  }

  const PuzzleKind& kind_;
};

}  // namespace

void add_planning_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  for (const auto& kind : puzzle_kinds()) tasks.push_back(std::make_unique<PuzzleTask>(*kind));
}

}  // namespace evo::eval
