// evo eval make: puzzles to train on and to be tested with.
#include <CLI/CLI.hpp>
#include <memory>

#include "base/process/watcher.h"
#include "base/threads/parallel.h"
#include "cli/common_options.h"
#include "cli/number_range.h"
#include "cli/options.h"
#include "cli/program.h"
#include "eval/planning/puzzle.h"
#include "files/files.h"
#include "json/record.h"

namespace evo::cli {
namespace {

struct EvalMakeFlags {
  std::string kind, out, part = "train";
  int64_t count = 1000;
  uint64_t seed = 1;
  int threads = 0;
};

std::vector<std::string> kind_names() {
  std::vector<std::string> names;
  for (const auto& kind : eval::puzzle_kinds()) names.emplace_back(kind->name());
  return names;
}

void run_eval_make(const EvalMakeFlags& flags) {
  use_threads(flags.threads);
  const eval::PuzzleKind& kind = eval::find_puzzle_kind(flags.kind);
  const eval::PuzzlePart part =
      flags.part == "test" ? eval::PuzzlePart::kTest : eval::PuzzlePart::kTrain;
  constexpr int64_t kBatch = 1024;  // made side by side
  files::AtomicFile file(flags.out);
  Progress progress("making", static_cast<double>(flags.count), "puzzles", false);
  for (int64_t first = 0; first < flags.count; first += kBatch) {
    std::vector<std::string> lines(static_cast<size_t>(std::min(kBatch, flags.count - first)));
    parallel_items(std::ssize(lines), [&](int64_t i) {
      const eval::Puzzle puzzle =
          eval::make_puzzle(kind, part, flags.seed, static_cast<uint64_t>(first + i));
      json::Record line;
      line.set("prompt", puzzle.prompt).set("completion", puzzle.answer);
      lines[i] = line.dump() + "\n";
    });
    for (const std::string& line : lines) file.write(std::as_bytes(std::span(line)));
    if (interrupted()) fail_interrupted("interrupted: nothing was written");
    progress.update(static_cast<double>(first + std::ssize(lines)));
  }
  progress.finish();
  file.commit();
}

}  // namespace

void add_eval_make_command(CLI::App& eval, Action& action) {
  const auto flags = std::make_shared<EvalMakeFlags>();
  CLI::App* command = eval.add_subcommand(
      "make", "Make planning puzzles: JSON lines with prompt and completion, for evo train");
  command->add_option("kind", flags->kind, fmt::format("{}", fmt::join(kind_names(), ", ")))
      ->required()
      ->check(one_of(kind_names()));
  command->add_option("--out", flags->out, "file to write, .jsonl")->required();
  command->add_option("--count", flags->count, "puzzles")
      ->check(number(int64_t{1}, int64_t{1} << 40))
      ->capture_default_str();
  command
      ->add_option("--part", flags->part, "train or test: no puzzle is in both, whatever the seeds")
      ->check(one_of({"train", "test"}))
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "seed of the puzzles")
      ->check(any_seed<uint64_t>())
      ->capture_default_str();
  command->add_option("--threads", flags->threads, kThreadsHelp);
  command->callback([flags, &action] { action = [flags] { run_eval_make(*flags); }; });
}

}  // namespace evo::cli
