// evo train
#include <CLI/CLI.hpp>
#include <cmath>
#include <csignal>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/process/watcher.h"
#include "base/terminal/progress.h"
#include "cli/hub/model_option.h"
#include "cli/number_range.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/train/draft_gain.h"
#include "cli/train/run_flags.h"
#include "decode/loaded_model.h"
#include "json/fields.h"

namespace evo::cli {
namespace {

struct TrainFlags : RunFlags {
  std::string preset, config;
  double rank_timeout = 120;
};

train::RunConfig configuration(const TrainFlags& flags) {
  if (flags.preset.empty() == flags.config.empty()) {
    throw UsageError("give either --preset NAME or --config FILE");
  }
  train::RunConfig config;
  if (!flags.preset.empty()) config = train::RunConfig::preset(flags.preset);
  if (!flags.config.empty())
    json::read_fields(json::Record::load(flags.config), config, flags.config);
  flags.settings.apply(config);
  return config;
}

volatile std::sig_atomic_t stop_asked = 0;

extern "C" void on_stop_asked(int) {
  stop_asked = 1;
}

/// What is wrong on one rank ends all.
train::TrainSummary train_on(comm::Communicator& ranks, TrainFlags& flags,
                             std::optional<DraftGain>& gain) {
  if (flags.request.quiet || !ranks.is_first()) set_log_level(LogLevel::kQuiet);
  flags.request.ranks = &ranks;
  // What mpirun passes on without counting the seconds until it kills.
  std::signal(SIGUSR1, on_stop_asked);
  flags.request.stop = [] { return interrupted() || stop_asked != 0; };
  flags.request.rank_timeout = flags.rank_timeout;
  try {
    flags.request.config = configuration(flags);
    flags.request.precision = parse_training_precision(flags.precision);
    // Other ranks would wait on the cores where it is measured.
    if (ranks.size() == 1) report_gain(flags.request, gain);
    return run_training(flags.request);
  } catch (const std::exception& error) {
    if (ranks.size() > 1) ranks.end_job(error.what());
    throw;
  }
}

void print_summary(const train::TrainSummary& summary, const std::optional<DraftGain>& gain) {
  json::Record record;
  record.set("step", summary.step).set("tokens", summary.tokens).set("seconds", summary.seconds);
  record.set("interrupted", summary.interrupted).set("loss", summary.last.total);
  record.set("ar_nll", summary.last.ar_nll).set("valid_ar_nll", summary.validation.ar_nll);
  record.set("valid_elbo", summary.validation.elbo)
      .set("tokens_per_second", summary.tokens_per_second);
  record.set("gemm_peak_fraction", summary.gemm_peak_fraction);
  record.set("peak_bytes", summary.peak_bytes);
  if (gain) {
    record.set("exact_speed_up", gain->speed_up);
    record.set("exact_precision", decode::precision_name(gain->precision));
  }
  if (summary.ranks > 1) {
    record.set("ranks", summary.ranks);
    record.set("communication_hidden", summary.communication_hidden);
  }
  fmt::print("{}\n", record.dump());
}

/// In words, and what to do if it is not the end.
std::string outcome(const TrainFlags& flags, const train::TrainSummary& summary) {
  if (summary.interrupted && summary.step == 0) {
    return "interrupted before the first step was complete: nothing is learnt, and there is no "
           "model "
           "yet. Begin again with --resume";
  }
  // A resumed run that was complete already has no loss of its own; one that was stopped has no
  // validation if that takes long.
  std::string losses;
  if (!std::isnan(summary.last.ar_nll)) losses = fmt::format("AR loss {:.3f}", summary.last.ar_nll);
  if (!std::isnan(summary.validation.ar_nll)) {
    losses +=
        fmt::format("{}held out {:.3f}", losses.empty() ? "" : ", ", summary.validation.ar_nll);
  }
  return fmt::format("{} after {} steps and {}{}{}. Model and loss.svg in {}",
                     summary.interrupted ? "interrupted (continue with --resume)" : "done",
                     summary.step, format_duration(summary.seconds), losses.empty() ? "" : ": ",
                     losses, flags.request.out);
}

void train(TrainFlags& flags) {
  use_threads(flags.threads);
  const std::unique_ptr<comm::Communicator> ranks =
      comm::make_communicator({.patience = flags.rank_timeout, .say = complain});
  std::optional<DraftGain> gain;
  const train::TrainSummary summary = train_on(*ranks, flags, gain);
  if (!ranks->is_first()) return;
  if (flags.json) print_summary(summary, gain);
  // Who sends SIGUSR1 has asked for this end.
  if (summary.interrupted && interrupted()) throw Interrupted(outcome(flags, summary));
  if (flags.json) return;
  log_info("{}", outcome(flags, summary));
  if (gain) log_info("{}", gain->line());
}

}  // namespace

void add_train_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<TrainFlags>();
  CLI::App* command = app.add_subcommand("train", "Train a model on text files");
  command->add_option("--preset", flags->preset, "shape: demo, 7m, 15m, 30m, 110m, 124m, 1b, 8b");
  command->add_option("--config", flags->config, "JSON file with the settings listed below");
  add_run_options(*command, *flags);
  takes_model(
      command->add_option("--tokenizer", flags->request.tokenizer,
                          "tokenizer to use, a file or a model; default: train one on the data"));
  command->add_option("--sample-prompt", flags->request.sample_prompt,
                      "prompt of the samples shown on the way");
  command
      ->add_option("--rank-timeout", flags->rank_timeout,
                   "seconds to wait for another rank before the job ends; 0: for ever")
      ->check(number(0.0, kLongestSeconds))
      ->capture_default_str();
  command->footer(
      "Several processes share the work if mpirun starts them, on one machine or on several that "
      "have the\nfolders in common:  mpirun -n 4 evo train ... --threads 1\n"
      "Ctrl-C leaves them one second to save; kill -USR1 to mpirun as long as it takes.\n\n"
      "Ctrl-C writes a checkpoint and ends cleanly; continue with --resume.\n\nSettings (--set or "
      "--config):\n" +
      json::describe_fields(train::RunConfig::preset("demo")));
  command->callback([flags, &action] { action = [flags] { train(*flags); }; });
}

}  // namespace evo::cli
