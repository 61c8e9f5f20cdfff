// evo adapt
#include <CLI/CLI.hpp>
#include <array>
#include <filesystem>
#include <memory>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/run_flags.h"
#include "decode/generate.h"
#include "train/adapt.h"
#include "train/validation.h"

namespace evo {
namespace {

namespace fs = std::filesystem;

struct Flags : RunFlags {
  std::string parent, recipe = "frozen";
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

Generation decode(const Decoder& decoder, const Tokenizer& tokenizer, const Prompt& prompt,
                  Mode mode) {
  GenerateOptions options;
  options.decode.mode = mode;
  options.decode.max_tokens = 64;
  return generate(decoder, tokenizer, prompt, options);
}

void add(Generation& total, const Generation& one) {
  total.tokens.insert(total.tokens.end(), one.tokens.begin(), one.tokens.end());
  total.passes += one.passes;
  total.seconds += one.seconds;
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
  const TokenFile tokens = run_tokens(flags.request);
  Generation ar, exact;
  Report report;
  (void)after.cost(Mode::kExact);  // measured now, not in the first text
  for (const Prompt& prompt : held_out_prompts(tokens, config)) {
    const Generation old_text = decode(before, parent.tokenizer, prompt, Mode::kAr);
    const Generation new_text = decode(after, parent.tokenizer, prompt, Mode::kExact);
    add(ar, old_text);
    add(exact, new_text);
    ++report.texts;
    report.equal_texts += old_text.tokens == new_text.tokens ? 1 : 0;
  }
  report.tokens_per_forward = exact.tokens_per_forward();
  report.ar_tokens_per_second = ar.tokens_per_second();
  report.speed_up = exact.tokens_per_second() / report.ar_tokens_per_second;
  return report;
}

// What `evo chat` needs besides, where the parent has it.
constexpr std::array kChatFiles = {"tokenizer_config.json", "special_tokens_map.json",
                                   "chat_template.jinja", "chat_template.json"};

RunConfig configuration(const Flags& flags, const ModelConfig& parent) {
  RunConfig config = adapt_config(parent, parse_recipe(flags.recipe));
  flags.apply(config);
  return config;
}

void adapt(Flags& flags) {
  use_threads(flags.threads);
  if (flags.request.quiet) set_log_level(LogLevel::kQuiet);
  TrainRequest& request = flags.request;
  const ModelConfig shape = ModelConfig::load((fs::path(flags.parent) / "config.json").string());
  const bool drafts = parse_recipe(flags.recipe) == AdaptRecipe::kDrafts;
  if (shape.flow && !drafts) {
    fail(
        "{}: this is an Evo model already; --recipe {} expects an autoregressive one. To go on "
        "training it, use `evo train --resume`; to make it draft better, --recipe drafts",
        flags.parent, flags.recipe);
  }
  if (!shape.flow && drafts) {
    fail("{}: this model has no evolving stream; --recipe drafts expects one. Use frozen or full",
         flags.parent);
  }
  request.config = configuration(flags, shape);
  request.precision = parse_training_precision(flags.precision);
  request.tokenizer = flags.parent;
  request.initialize = [&](Model& model) { adopt_parent(Model::load(flags.parent), model); };
  const TrainSummary summary = run_training(request);
  copy_files(flags.parent, request.out, kChatFiles);
  if (summary.interrupted) {
    fail_interrupted("interrupted after {} steps: continue with --resume", summary.step);
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
          "trained; full: everything is; drafts: the parent is an Evo model, whose outputs all "
          "stay bit for bit, and only what drafts is trained")
      ->check(CLI::IsMember({"frozen", "full", "drafts"}))
      ->capture_default_str();
  add_run_options(*command, *flags);
  command->footer(
      "Without --steps and --minutes: 1000 steps. Ends with a report: tokens per forward pass and "
      "speed "
      "before and after.\n"
      "Ctrl-C writes a checkpoint and ends cleanly; continue with --resume.");
  command->callback([flags, &action] { action = [flags] { adapt(*flags); }; });
}

}  // namespace evo
