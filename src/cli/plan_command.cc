// evo plan
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "base/log.h"
#include "cli/bench/bench_measure.h"
#include "cli/common_options.h"
#include "cli/number_range.h"
#include "cli/options.h"
#include "cli/plan_report.h"
#include "cli/program.h"
#include "json/fields.h"

namespace evo::cli {
namespace {

struct PlanFlags {
  std::string preset, config, precision = "bf16";
  std::vector<std::string> set;
  std::string memory, flops, bandwidth, tokens, batch_tokens;
  std::optional<double> efficiency, latency;
  int64_t ranks = 1;
  bool recompute = false, json = false;
};

bool sets_batch(const std::string& assignment) {
  return assignment.starts_with("batch_size=") || assignment.starts_with("gradient_accumulation=");
}

plan::PlannedRun planned_run(const PlanFlags& flags) {
  if (flags.preset.empty() == flags.config.empty()) {
    throw UsageError("give either --preset NAME or --config FILE");
  }
  plan::PlannedRun run;
  if (!flags.preset.empty()) run.config = train::RunConfig::preset(flags.preset);
  if (!flags.config.empty())
    json::read_fields(json::Record::load(flags.config), run.config, flags.config);
  for (const std::string& assignment : flags.set) json::assign_field(run.config, assignment);
  run.precision = flags.precision == "f32" ? tensor::Precision::kF32 : tensor::Precision::kBF16;
  if (flags.recompute) run.config.recompute = true;
  run.tokens = flags.tokens.empty() ? plan::reasonable_tokens(run.config)
                                    : parse_amount("--tokens", flags.tokens);
  return run;
}

/// What training steps reach of the peak of products, here and now: of the planned shape if it is
/// small, else of the largest one that takes seconds.
double measured_efficiency(const std::string& preset, PlanNotes& notes) {
  BenchCase work;
  work.preset = preset == "demo" || preset == "7m" ? preset : "30m";
  work.batch = 2;
  work.steps = 3;
  work.warm_up = 1;
  log_info("measuring the efficiency of steps of {} on this machine; --efficiency skips that",
           work.preset);
  notes.efficiency = "as " + work.preset + " here";
  return measure_training(work).get_double("gemm_peak_fraction");
}

plan::Machine machine_of(const PlanFlags& flags, PlanNotes& notes) {
  plan::Machine machine;
  machine.ranks = flags.ranks;
  machine.memory = parse_amount("--memory", flags.memory);
  machine.flops = parse_amount("--flops", flags.flops);
  machine.bandwidth = parse_amount("--bandwidth", flags.bandwidth);
  if (flags.latency) machine.latency = *flags.latency;
  notes.efficiency = "as given";
  machine.efficiency = flags.efficiency ? *flags.efficiency
                                        : std::min(1.0, measured_efficiency(flags.preset, notes));
  return machine;
}

void choose_plan_batch(const PlanFlags& flags, plan::PlannedRun& run, const plan::Machine& machine,
                       PlanNotes& notes) {
  const bool given = flags.batch_tokens.empty() &&
                     (std::ranges::any_of(flags.set, sets_batch) || !flags.config.empty());
  const train::RunConfig& c = run.config;
  notes.batch = given ? "as set" : "chosen";
  if (!given) {
    const std::string& tokens = flags.batch_tokens;
    plan::choose_batch(run, machine, tokens.empty() ? 0 : parse_amount("--batch-tokens", tokens));
  }
  notes.batch += fmt::format(": {} x {}", c.batch_size, c.gradient_accumulation);
}

std::string other_settings(const PlanFlags& flags) {
  std::string text;
  for (const std::string& assignment : flags.set) {
    if (!sets_batch(assignment)) text += " --set " + assignment;
  }
  return text;
}

void run_plan(const PlanFlags& flags) {
  plan::PlannedRun planned = planned_run(flags);
  PlanNotes notes;
  notes.model = flags.preset.empty() ? "--config " + flags.config : "--preset " + flags.preset;
  notes.settings = other_settings(flags);
  const plan::Machine machine = machine_of(flags, notes);
  choose_plan_batch(flags, planned, machine, notes);
  const plan::Plan plan = plan::make_plan(planned, machine);
  if (flags.json) {
    fmt::print("{}\n", plan_record(plan, notes).dump());
  } else {
    fmt::print("{}", plan_table(plan, notes));
  }
}

void add_machine_options(CLI::App& command, PlanFlags& flags) {
  command.add_option("--ranks", flags.ranks, "processes, each with a processor or accelerator")
      ->check(number(1, 65536))
      ->capture_default_str();
  command.add_option("--memory", flags.memory, "bytes of a rank: 80G, or 80Gi for 2^30")
      ->required();
  command
      .add_option("--flops", flags.flops,
                  "peak of a rank's matrix products per second, in --precision: 400T")
      ->required();
  command
      .add_option("--bandwidth", flags.bandwidth,
                  "bytes per second that a rank sends and at the same time receives: 50G")
      ->required();
  command.add_option("--latency", flags.latency, "seconds until a message arrives; default 10e-6")
      ->check(number(0.0, kLongestSeconds));
  command
      .add_option("--efficiency", flags.efficiency,
                  "share of --flops that a step reaches without communication; default: what "
                  "this machine reaches, measured in some seconds")
      ->check(number_above(0, 1));
  command.add_option("--precision", flags.precision, "of matrix products: bf16 or f32")
      ->check(one_of({"bf16", "f32"}))
      ->capture_default_str();
}

void add_shape_options(CLI::App& command, PlanFlags& flags) {
  command.add_option("--preset", flags.preset, "shape: demo, 7m, 15m, 30m, 110m, 124m, 1b, 8b");
  command.add_option("--config", flags.config, "JSON file with settings, as of evo train");
  command.add_option("--set", flags.set, "key=value: change one setting; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command.add_option("--tokens", flags.tokens,
                     "of text in the whole run: 1T; default: 20 per parameter of the backbone");
  command.add_option("--batch-tokens", flags.batch_tokens,
                     "of text in a step, about; default: as --set or --config say, else the power "
                     "of two below the critical batch");
  command.add_flag("--recompute", flags.recompute,
                   "plan with layers that are computed again in the backward pass");
  command.add_flag("--json", flags.json, "print one JSON object on stdout");
}

}  // namespace

void add_plan_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<PlanFlags>();
  CLI::App* command = app.add_subcommand(
      "plan", "What a training run on many ranks needs: memory, time, what limits it");
  add_shape_options(*command, *flags);
  add_machine_options(*command, *flags);
  command->footer(
      "Says what a rank's memory is filled with, how long a step takes and how much of its\n"
      "communication is hidden, how many days the run lasts, what limits it first, and what\n"
      "would change that. For example, 8 billion parameters on 64 accelerators:\n\n"
      "  evo plan --preset 8b --ranks 64 --memory 80G --flops 400T --bandwidth 50G \\\n"
      "    --efficiency 0.4 --tokens 1T --recompute\n\n"
      "The formulas and how far they were off at small scale: docs/design/ranks.md,\n"
      "\"Planning a large run\"; bench/plan measures that again.");
  command->callback([flags, &action] { action = [flags] { run_plan(*flags); }; });
}

}  // namespace evo::cli
