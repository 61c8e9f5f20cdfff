// evo adapt
#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/progress.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/train_run.h"
#include "decode/generate.h"
#include "io/fields.h"
#include "io/files.h"
#include "train/adapt.h"
#include "train/validation.h"

namespace evo {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string parent, recipe = "frozen", precision = "auto";
  std::vector<std::string> set;
  TrainRequest request;
  std::optional<int64_t> steps, seed;
  std::optional<double> minutes;
  int threads = 0;
  bool json = false;
};

/// What decoding held-out text in one mode took.
struct Decoded {
  std::vector<std::vector<int32_t>> texts;
  int64_t tokens = 0, passes = 0;
  double seconds = 0;
  [[nodiscard]] double tokens_per_second() const { return static_cast<double>(tokens) / seconds; }
  [[nodiscard]] double tokens_per_forward() const {
    return static_cast<double>(tokens) / static_cast<double>(std::max<int64_t>(1, passes));
  }
};

/// Beginnings of sequences of the held-out text.
std::vector<Prompt> held_out_prompts(const TokenFile& tokens, const RunConfig& config) {
  constexpr int64_t kPrompts = 12, kLength = 32;
  const int64_t begin = held_out_begin(tokens, config);
  const int64_t length = std::min(kLength, config.max_position_embeddings / 2);
  const int64_t stride = (tokens.size() - begin - length) / kPrompts;
  std::vector<Prompt> prompts;
  for (int64_t i = 0; i < kPrompts; ++i) {
    std::vector<int32_t> prompt(static_cast<size_t>(length));
    tokens.copy(begin + i * stride, prompt);
    prompts.push_back(Prompt::of_text(std::move(prompt)));
  }
  return prompts;
}

void decode(const Decoder& decoder, const Tokenizer& tokenizer, const Prompt& prompt, Mode mode,
            Decoded& result) {
  GenerateOptions options;
  options.decode.mode = mode;
  options.decode.max_tokens = 64;
  const Generation text = generate(decoder, tokenizer, prompt, options);
  result.texts.push_back(text.tokens);
  result.tokens += std::ssize(text.tokens);
  result.passes += text.passes;
  result.seconds += text.seconds;
}

struct Report {
  double tokens_per_forward = 0, speed_up = 0, ar_tokens_per_second = 0;
  int64_t texts = 0, equal_texts = 0;
};

/// Before: the parent, token by token. After: the adapted model in mode exact. Prompt by prompt in
/// turns, so that a machine that slows down slows both.
Report compare(const Flags& flags, const RunConfig& config) {
  const Precision precision = parse_precision(flags.precision);
  const LoadedModel parent = load_model(flags.parent, precision);
  const LoadedModel adapted = load_model(flags.request.out, precision);
  const Decoder before(parent.model), after(adapted.model);
  const TokenFile tokens(fs::path(flags.request.out) / "tokens.bin");
  Decoded ar, exact;
  (void)after.cost(Mode::kExact);  // measured now, not in the first text
  for (const Prompt& prompt : held_out_prompts(tokens, config)) {
    decode(before, parent.tokenizer, prompt, Mode::kAr, ar);
    decode(after, parent.tokenizer, prompt, Mode::kExact, exact);
  }
  Report report{exact.tokens_per_forward(), exact.tokens_per_second() / ar.tokens_per_second(),
                ar.tokens_per_second(), std::ssize(ar.texts), 0};
  for (size_t i = 0; i < ar.texts.size(); ++i) report.equal_texts += ar.texts[i] == exact.texts[i];
  return report;
}

/// What `evo chat` needs besides, where the parent has it.
void copy_chat_files(const fs::path& from, const fs::path& to) {
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json",
                           "chat_template.jinja", "chat_template.json"}) {
    constexpr int64_t kMaxBytes = int64_t{64} << 20;
    if (fs::exists(from / name)) write_atomically(to / name, read_file(from / name, kMaxBytes));
  }
}

RunConfig configuration(const Flags& flags, const ModelConfig& parent) {
  RunConfig config = adapt_config(parent, parse_recipe(flags.recipe));
  for (const std::string& assignment : flags.set) assign_field(config, assignment);
  if (flags.minutes) config.minutes = *flags.minutes;
  config.steps = flags.steps ? *flags.steps : flags.minutes ? 0 : 1000;
  if (flags.seed) config.seed = *flags.seed;
  return config;
}

void adapt(Flags& flags) {
  use_threads(flags.threads);
  if (flags.request.quiet) set_log_level(LogLevel::kQuiet);
  TrainRequest& request = flags.request;
  const ModelConfig shape = ModelConfig::load((fs::path(flags.parent) / "config.json").string());
  if (shape.flow) {
    fail(
        "{}: this is an Evo model already; `evo adapt` expects an autoregressive one. To go on "
        "training it, use `evo train --resume`",
        flags.parent);
  }
  request.config = configuration(flags, shape);
  request.precision = parse_training_precision(flags.precision);
  request.tokenizer = flags.parent;
  request.initialize = [&](Model& model) { adopt_backbone(Model::load(flags.parent), model); };
  const TrainSummary summary = run_training(request);
  copy_chat_files(flags.parent, request.out);
  if (summary.interrupted) {
    log_info("stopped after {} steps; continue with --resume", summary.step);
    return;
  }
  const Report report = compare(flags, request.config);
  if (flags.json) {
    Record record;
    record.set("recipe", flags.recipe).set("step", summary.step).set("tokens", summary.tokens);
    record.set("seconds", summary.seconds).set("valid_ar_nll", summary.validation.ar_nll);
    record.set("tokens_per_forward", report.tokens_per_forward);
    record.set("exact_speed_up", report.speed_up);
    record.set("ar_tokens_per_second", report.ar_tokens_per_second);
    record.set("texts", report.texts).set("texts_equal_to_parent", report.equal_texts);
    fmt::print("{}\n", record.dump());
    return;
  }
  log_info("done after {} steps and {}; model in {}", summary.step,
           format_duration(summary.seconds), request.out);
  log_info("before: {:.0f} tokens/s, 1 token per forward pass", report.ar_tokens_per_second);
  log_info(
      "after, mode exact: {:.0f} tokens/s ({:.2f} times), {:.2f} tokens per forward pass; {} of "
      "{} texts are the parent's, token for token",
      report.ar_tokens_per_second * report.speed_up, report.speed_up, report.tokens_per_forward,
      report.equal_texts, report.texts);
}

}  // namespace

void add_adapt_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("adapt", "Teach an autoregressive model to evolve several tokens at once");
  command->add_option("parent", flags->parent, "model folder: Hugging Face's or ours")->required();
  command
      ->add_option(
          "--recipe", flags->recipe,
          "frozen: the parent's output stays bit for bit, only what evolving tokens use is "
          "trained; full: everything is")
      ->check(CLI::IsMember({"frozen", "full"}))
      ->capture_default_str();
  command
      ->add_option("--data", flags->request.data, "texts like those to be generated; as in train")
      ->required();
  command->add_option("--text-field", flags->request.text_field, "where .jsonl has its texts")
      ->capture_default_str();
  command->add_option("--out", flags->request.out, "folder for model, metrics and checkpoints")
      ->required();
  command->add_option("--steps", flags->steps, "optimizer steps; default 1000");
  command->add_option("--minutes", flags->minutes,
                      "train for this long; with --steps: at most this long");
  command->add_option("--set", flags->set, "key=value: change one setting, as in train")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--seed", flags->seed, "seed of everything random");
  command->add_option("--threads", flags->threads, "threads; default: all cores");
  command->add_option("--precision", flags->precision, "of matrix products: auto, f32 or bf16");
  command->add_flag("--resume", flags->request.resume, "continue the run in --out, bit for bit");
  command->add_flag("--quiet", flags->request.quiet, "no progress, no samples");
  command->add_flag("--json", flags->json, "print a JSON report on stdout");
  command->footer(
      "Ends with a report: tokens per forward pass and speed before and after.\n"
      "Ctrl-C writes a checkpoint and ends cleanly; continue with --resume.");
  command->callback([flags, &action] { action = [flags] { adapt(*flags); }; });
}

}  // namespace evo
