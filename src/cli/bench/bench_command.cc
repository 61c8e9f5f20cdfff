// evo bench train
#include <CLI/CLI.hpp>
#include <memory>

#include "base/threads/parallel.h"
#include "cli/bench/bench_compare.h"
#include "cli/number_range.h"
#include "cli/options.h"
#include "cli/program.h"

namespace evo::cli {
namespace {

struct BenchFlags {
  std::vector<std::string> presets = {"demo", "7m"}, variants;
  std::string precision = "auto", peer;
  int64_t rounds = 1;
  double time_limit = 900;
  int threads = 0;
  bool in_process = false, json = false;
  BenchCase work;  // what all presets have in common
};

std::vector<BenchCase> bench_cases(const BenchFlags& flags) {
  BenchCase work = flags.work;
  use_threads(flags.threads);
  work.threads = threads();
  work.precision = parse_training_precision(flags.precision);
  if (!work.ar_only && work.sequence % work.block != 0) {
    throw UsageError(
        fmt::format("--block {}: expected a divisor of --sequence {}", work.block, work.sequence));
  }
  std::vector<BenchCase> cases;
  for (const std::string& preset : flags.presets) {
    work.preset = preset;
    work.config().validate();  // throws for an unknown preset, before any is measured
    cases.push_back(work);
  }
  return cases;
}

void run_bench(const BenchFlags& flags) {
  const std::vector<BenchCase> cases = bench_cases(flags);
  if (flags.in_process) {
    if (cases.size() != 1) throw UsageError("--in-process: expected one preset");
    fmt::print("{}\n", measure_training(cases[0]).dump());
    return;
  }
  const std::vector<Variant> variants = peer_variants(cases[0].precision, flags.variants);
  const Peer peer(flags.peer);
  Comparer comparer(peer, variants, cases, flags.rounds, flags.time_limit);
  std::vector<json::Record> rows;
  for (const BenchCase& work : cases) {
    const Comparison comparison = comparer.compare(work);
    rows.push_back(comparison.row());
    if (!flags.json) comparison.print_table();
    comparison.warn_if_disturbed();
  }
  if (flags.json) fmt::print("{}\n", json::Record().set("rows", rows).dump());
}

void add_work_options(CLI::App& command, BenchFlags& flags) {
  BenchCase& work = flags.work;
  command.add_option("--presets", flags.presets, "shapes, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  const auto add_count = [&](const char* name, int64_t& value, int64_t least, int64_t most,
                             const char* help) {
    command.add_option(name, value, help)->check(number(least, most))->capture_default_str();
  };
  add_count("--batch", work.batch, 1, 65536, "sequences");
  add_count("--sequence", work.sequence, 2, 65536, "tokens per sequence");
  add_count("--block", work.block, 1, 65536, "tokens per block of the evolving stream");
  add_count("--steps", work.steps, 1, 1000, "timed steps; the median counts");
  add_count("--warm-up", work.warm_up, 1, 1000, "steps before these");
  command.add_flag("--ar-only", work.ar_only, "without the evolving stream");
  command.add_option("--precision", flags.precision, "auto, f32 or bf16");
  command.add_option("--threads", flags.threads, kThreadsHelp);
}

void add_comparison_options(CLI::App& command, BenchFlags& flags) {
  command.add_option(
      "--peer", flags.peer,
      "command that runs reference/train_bench.py in another Python, for the shell; none: "
      "measure without a peer; default: the first of python3 and /usr/bin/python3 that has "
      "PyTorch");
  command
      .add_option("--variants", flags.variants,
                  "which of the peer's, separated by commas: eager-matmul, eager-sdpa, "
                  "compiled-matmul, compiled-sdpa, each with -bf16 too; default: all")
      ->delimiter(',');
  command.add_option("--time-limit", flags.time_limit, "seconds for a run of the peer")
      ->check(number_above(0, kLongestSeconds))
      ->capture_default_str();
  command.add_option("--rounds", flags.rounds, "how often everything is measured")
      ->check(number(1, 100))
      ->capture_default_str();
  command.add_flag("--in-process", flags.in_process,
                   "one preset, in this process, no peer, as JSON: what the others are started as");
  command.add_flag("--json", flags.json, "print one JSON object on stdout");
}

}  // namespace

void add_bench_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<BenchFlags>();
  CLI::App* bench = app.add_subcommand("bench", "Measure speed");
  bench->require_subcommand(1);
  CLI::App* command = bench->add_subcommand(
      "train", "Training steps on random tokens, against the machine's peak and PyTorch");
  add_work_options(*command, *flags);
  add_comparison_options(*command, *flags);
  command->callback([flags, &action] { action = [flags] { run_bench(*flags); }; });
  add_bench_decode_command(*bench, action);
}

}  // namespace evo::cli
