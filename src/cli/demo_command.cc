// evo demo
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "api/train_run.h"
#include "base/embedded_file.h"
#include "base/log.h"
#include "base/process/watcher.h"
#include "cli/hub/model_option.h"
#include "cli/number_range.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/prompt_input.h"
#include "decode/generate.h"
#include "decode/loaded_model.h"
#include "files/files.h"
#include "ops/machine.h"

namespace evo::cli {

// It lies inside the program, so that `evo demo` runs from anywhere.
std::span<const EmbeddedFile> demo_corpus();

namespace {

namespace fs = std::filesystem;

struct DemoFlags {
  std::string out = "runs/demo", prompt = "Once upon a time, there was a little girl named Lily.";
  PromptFlags asked;  // another prompt
  std::string model;  // a trained one, or nothing
  double minutes = 2;
  int64_t max_tokens = 80;
  int threads = 0;
};

/// Only a folder that an earlier demo made is replaced.
void clear_earlier_demo(const fs::path& folder) {
  if (!fs::exists(folder) || fs::is_empty(folder)) return;
  if (!fs::exists(folder / "demo-corpus.xz")) {
    fail("{}: this folder is not empty and not an earlier demo: give another --out",
         folder.string());
  }
  const files::FolderLock lock(folder);  // not while a demo is running there
  for (const auto& entry : fs::directory_iterator(folder)) {
    // Another demo may already wait for this very file.
    if (entry.path().filename() != ".lock") fs::remove_all(entry.path());
  }
}

void show_modes(const std::string& model, const DemoFlags& flags) {
  const decode::LoadedModel loaded = decode::load_model(model, tensor::Precision::kStored);
  const decode::Decoder decoder(loaded.model, loaded.tokenizer);
  const decode::Prompt prompt = decode::text_prompt(loaded.tokenizer, flags.prompt);
  for (decode::Mode mode :
       {decode::Mode::kAr, decode::Mode::kExact, decode::Mode::kEvo, decode::Mode::kDiffusion}) {
    decode::GenerateOptions options;
    options.decode.mode = mode;
    options.decode.max_tokens = flags.max_tokens;
    options.decode.sampler.temperature = 0;
    const decode::Generation result = decode::generate(decoder, loaded.tokenizer, prompt, options);
    fmt::print(
        "\n--- {}: {:.2f} tokens per forward pass, {:.0f} tokens/s, AR {:.2f} nats per "
        "token\n{}{}\n",
        decode::mode_name(mode), result.tokens_per_forward(), result.tokens_per_second(),
        decode::ar_nats_per_token(loaded.model, prompt, result.tokens), flags.prompt, result.text);
    std::fflush(stdout);
  }
}

void run_demo(DemoFlags& flags) {
  use_threads(flags.threads);
  flags.prompt = read_prompt(flags.asked).value_or(flags.prompt);
  if (!flags.model.empty()) {
    log_info("What the trained model {} writes:", flags.model);
    show_modes(flags.model, flags);
    fmt::print("\n");
    std::fflush(stdout);
  }
  clear_earlier_demo(flags.out);
  fs::create_directories(flags.out);
  const fs::path corpus = fs::path(flags.out) / "demo-corpus.xz";
  files::write_atomically(corpus, demo_corpus().front().bytes);
  TrainRequest request;
  request.config = train::RunConfig::preset("demo");
  request.config.steps = 0;
  request.config.minutes = flags.minutes;
  request.data = {corpus};
  request.out = flags.out;
  request.quiet = log_level() == LogLevel::kQuiet;
  request.precision = ops::best_precision();
  log_info("Training on 2 MB of short stories (TinyStories) for {} minutes; Ctrl-C stops early.",
           flags.minutes);
  const train::TrainSummary summary = run_training(request);
  log_info("{} tokens in {:.0f} s; held out: AR {:.3f}, ELBO {:.3f} nats per token", summary.tokens,
           summary.seconds, summary.validation.ar_nll, summary.validation.elbo);
  if (summary.interrupted) {
    fail_interrupted("interrupted after {} steps: the model so far is in {}", summary.step,
                     flags.out);
  }
  show_modes(flags.out, flags);
  fmt::print(
      "\nLoss curve: {0}/loss.svg\nTry: evo generate {1} --prompt \"One day, a dog\" "
      "--temperature "
      "0.8\n",
      flags.out, flags.model.empty() ? flags.out : flags.model);
}

}  // namespace

void add_demo_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<DemoFlags>();
  CLI::App* command =
      app.add_subcommand("demo", "Train on the built-in stories and generate in all four modes");
  command->add_option("--minutes", flags->minutes, "training time")
      ->check(number_above(0, kLongestMinutes))
      ->capture_default_str();
  command->add_option("--out", flags->out, "folder for the model")->capture_default_str();
  takes_model(
      command->add_option("--model", flags->model, "a trained model, which is shown first"));
  add_prompt_options(*command, flags->asked, "text to continue");
  command->add_option("--max-tokens", flags->max_tokens, "tokens per mode")
      ->check(number(1, 400))
      ->capture_default_str();
  command->add_option("--threads", flags->threads, kThreadsHelp);
  command->callback([flags, &action] { action = [flags] { run_demo(*flags); }; });
}

}  // namespace evo::cli
