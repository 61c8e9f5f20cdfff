// evo train
#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/progress.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/train_run.h"
#include "io/fields.h"

namespace evo {
namespace {

struct Flags {
  std::string preset, config, precision = "auto";
  std::vector<std::string> set;
  TrainRequest request;
  std::optional<int64_t> steps, seed;
  std::optional<double> minutes;
  int threads = 0;
  bool json = false;
};

RunConfig configuration(const Flags& flags) {
  if (flags.preset.empty() == flags.config.empty()) {
    throw UsageError("give either --preset NAME or --config FILE");
  }
  RunConfig config;
  if (!flags.preset.empty()) config = RunConfig::preset(flags.preset);
  if (!flags.config.empty()) read_fields(Record::load(flags.config), config, flags.config);
  for (const std::string& assignment : flags.set) assign_field(config, assignment);
  if (flags.minutes) {
    config.minutes = *flags.minutes;
    config.steps = 0;
  }
  if (flags.steps) config.steps = *flags.steps;
  if (flags.seed) config.seed = *flags.seed;
  return config;
}

void train(Flags& flags) {
  use_threads(flags.threads);
  if (flags.request.quiet) set_log_level(LogLevel::kQuiet);
  flags.request.config = configuration(flags);
  flags.request.precision = parse_training_precision(flags.precision);
  const TrainSummary summary = run_training(flags.request);
  if (flags.json) {
    Record record;
    record.set("step", summary.step).set("tokens", summary.tokens).set("seconds", summary.seconds);
    record.set("interrupted", summary.interrupted).set("loss", summary.last.total);
    record.set("ar_nll", summary.last.ar_nll).set("valid_ar_nll", summary.validation.ar_nll);
    record.set("valid_elbo", summary.validation.elbo)
        .set("tokens_per_second", summary.tokens_per_second);
    record.set("gemm_peak_fraction", summary.gemm_peak_fraction);
    fmt::print("{}\n", record.dump());
    return;
  }
  // A resumed run that was complete already has no loss of its own.
  const std::string loss =
      std::isnan(summary.last.ar_nll) ? "" : fmt::format("AR loss {:.3f}, ", summary.last.ar_nll);
  log_info("{} after {} steps and {}: {}held out {:.3f}. Model and loss.svg in {}",
           summary.interrupted ? "stopped (continue with --resume)" : "done", summary.step,
           format_duration(summary.seconds), loss, summary.validation.ar_nll, flags.request.out);
}

}  // namespace

void add_train_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("train", "Train a model on text files");
  command->add_option("--preset", flags->preset, "shape: demo, 7m, 30m, 124m, 1b, 8b");
  command->add_option("--config", flags->config, "JSON file with the settings listed below");
  command->add_option("--set", flags->set, "key=value: change one setting; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command
      ->add_option("--data", flags->request.data,
                   "text files, where documents end at lines <|endoftext|>, or .jsonl; "
                   "compressed ones (.xz, .zst, .gz) too")
      ->required();
  command->add_option("--text-field", flags->request.text_field, "where .jsonl has its texts")
      ->capture_default_str();
  command->add_option("--out", flags->request.out, "folder for model, metrics and checkpoints")
      ->required();
  command->add_option("--tokenizer", flags->request.tokenizer,
                      "tokenizer to use, a file or a model folder; default: train one on the data");
  command->add_option("--steps", flags->steps, "optimizer steps");
  command->add_option("--minutes", flags->minutes,
                      "train for this long; with --steps: at most this long");
  command->add_option("--seed", flags->seed, "seed of everything random");
  command->add_option("--threads", flags->threads, "threads; default: all cores");
  command->add_option("--precision", flags->precision, "of matrix products: auto, f32 or bf16");
  command->add_option("--sample-prompt", flags->request.sample_prompt,
                      "prompt of the samples shown on the way");
  command->add_flag("--resume", flags->request.resume, "continue the run in --out, bit for bit");
  command->add_flag("--quiet", flags->request.quiet, "no progress, no samples");
  command->add_flag("--json", flags->json, "print a JSON summary on stdout");
  command->footer(
      "Ctrl-C writes a checkpoint and ends cleanly; continue with --resume.\n\nSettings (--set or "
      "--config):\n" +
      describe_fields(RunConfig::preset("demo")));
  command->callback([flags, &action] { action = [flags] { train(*flags); }; });
}

}  // namespace evo
