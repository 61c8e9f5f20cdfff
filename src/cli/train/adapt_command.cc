// evo adapt
#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <optional>

#include "api/adapt_run.h"
#include "base/log.h"
#include "base/process/watcher.h"
#include "base/terminal/progress.h"
#include "cli/common_options.h"
#include "cli/hub/model_option.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/train/draft_gain.h"
#include "cli/train/run_flags.h"
#include "decode/loaded_model.h"

namespace evo::cli {
namespace {

struct AdaptFlags : RunFlags {
  std::string parent, recipe = "frozen";
};

void adapt(AdaptFlags& flags) {
  use_threads(flags.threads);
  if (flags.request.quiet) set_log_level(LogLevel::kQuiet);
  TrainRequest& request = flags.request;
  begin_from_parent(request, flags.parent, train::parse_recipe(flags.recipe), flags.settings);
  request.precision = parse_training_precision(flags.precision);
  std::optional<DraftGain> gain;
  report_gain(request, gain, flags.parent);
  const train::TrainSummary summary = run_training(request);
  if (summary.interrupted) {
    fail_interrupted("interrupted after {} steps{}: continue with --resume", summary.step,
                     summary.step == 0 ? ", and so without a model" : "");
  }
  if (summary.step == 0) return;
  if (interrupted()) {
    fail_interrupted("the report was interrupted; the adapted model in {} is complete",
                     request.out);
  }
  const DraftGain result = gain.value_or(DraftGain{.speed_up = NAN});
  if (flags.json) {
    json::Record record;
    record.set("recipe", flags.recipe).set("step", summary.step).set("tokens", summary.tokens);
    record.set("seconds", summary.seconds).set("valid_ar_nll", summary.validation.ar_nll);
    record.set("tokens_per_forward", result.tokens_per_forward);
    record.set("exact_speed_up", result.speed_up);
    record.set("ar_tokens_per_second", result.ar_tokens_per_second);
    record.set("precision", decode::precision_name(result.precision));
    record.set("texts", result.texts).set("texts_equal_to_parent", result.parent_texts);
    fmt::print("{}\n", record.dump());
    return;
  }
  log_info("done after {} steps and {}; model in {}", summary.step,
           format_duration(summary.seconds), request.out);
  log_info("{} of {} texts are the parent's, token for token", result.parent_texts, result.texts);
  log_info("{}", result.line());
}

}  // namespace

void add_adapt_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<AdaptFlags>();
  CLI::App* command =
      app.add_subcommand("adapt", "Teach an autoregressive model to evolve several tokens at once");
  takes_model(command->add_option("parent", flags->parent, kModelHelp))->required();
  command
      ->add_option(
          "--recipe", flags->recipe,
          "frozen: the parent's output stays bit for bit, only what evolving tokens use is "
          "trained; full: everything is; drafts: the parent is an Evo model, whose outputs all "
          "stay bit for bit, and only what drafts is trained")
      ->check(one_of({"frozen", "full", "drafts"}))
      ->capture_default_str();
  add_run_options(*command, *flags);
  command->footer(
      "Without --steps and --minutes: 1000 steps. Ends with what mode exact gains, measured on "
      "held-out text.\n"
      "Ctrl-C writes a checkpoint and ends cleanly; continue with --resume.");
  command->callback([flags, &action] { action = [flags] { adapt(*flags); }; });
}

}  // namespace evo::cli
