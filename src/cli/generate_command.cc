// evo generate
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "base/log.h"
#include "cli/options.h"
#include "cli/program.h"
#include "decode/generate.h"
#include "io/files.h"
#include "io/record.h"

namespace evo {
namespace {

struct Flags {
  std::string model, prompt, mode, trace, precision = "auto";
  std::optional<double> balance;
  GenerateOptions options;
  int threads = 0;
  bool json = false;
};

/// --mode and --balance say the same thing; balance alone picks the mode, and the ends of evo's
/// range are exact and diffusion.
void choose_mode(Flags& flags) {
  DecodeOptions& decode = flags.options.decode;
  if (flags.balance) {
    const double balance = *flags.balance;
    if (!(balance >= 0 && balance <= 1))
      throw UsageError(fmt::format("--balance {}: expected 0 to 1", balance));
    decode.balance = balance;
    decode.mode = balance == 0 ? Mode::kExact : balance == 1 ? Mode::kDiffusion : Mode::kEvo;
  }
  if (flags.mode.empty()) return;
  const Mode named = parse_mode(flags.mode);
  if (flags.balance && named == Mode::kEvo) return;
  if (flags.balance && named != decode.mode) {
    throw UsageError(
        fmt::format("--mode {} and --balance {} contradict each other: that balance is mode {}",
                    flags.mode, *flags.balance, mode_name(decode.mode)));
  }
  decode.mode = named;
}

/// `exact` gives the text of `ar`, so a model that can only do that does it unless told otherwise.
void suit_model(Flags& flags, const ModelConfig& config) {
  const bool chosen = flags.balance || !flags.mode.empty();
  if (!chosen && !config.flow) flags.options.decode.mode = Mode::kAr;
}

/// Shows text as it becomes certain and, behind it, the drafts coloured by maturity.
class LiveView {
 public:
  explicit LiveView(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void show(std::string_view text, const PassTrace& trace) {
    fmt::print("\x1b[K{}", text);
    const size_t line = text.rfind('\n');
    column_ = line == std::string_view::npos ? column_ + text.size() : text.size() - line - 1;
    winsize size{};
    const size_t width =
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    size_t room = width - 1 - std::min(column_ % width, width - 1), shown = 0;
    for (const TokenTrace& token : trace.tokens) {
      std::string piece;
      for (char c : tokenizer_.token_bytes(token.token)) piece += c >= ' ' && c < 127 ? c : '.';
      if (piece.size() > room) break;
      room -= piece.size();
      shown += piece.size();
      // From red (will change) over yellow to green (will stay), in the 6x6x6 colour cube.
      const int green = static_cast<int>(std::min(5.0f, token.maturity * 10)),
                red = static_cast<int>(std::min(5.0f, (1 - token.maturity) * 10));
      fmt::print("\x1b[38;5;{}m{}\x1b[0m", 16 + 36 * red + 6 * green, piece);
    }
    if (shown > 0) fmt::print("\x1b[{}D", shown);
    flush_output();
  }

 private:
  const Tokenizer& tokenizer_;
  size_t column_ = 0;
};

Record trace_record(const PassTrace& trace, const Tokenizer& tokenizer) {
  Record line;
  line.set("pass", trace.pass).set("committed", trace.committed);
  line.set("text", tokenizer.decode(trace.committed));
  line.set("drafted", trace.drafted).set("accepted", trace.accepted);
  std::vector<Record> tokens;
  for (const TokenTrace& token : trace.tokens) {
    Record one;
    one.set("position", token.position)
        .set("token", token.token)
        .set("text", tokenizer.token_bytes(token.token));
    one.set("t", token.time).set("entropy", token.entropy).set("maturity", token.maturity);
    one.set("top", token.top).set("z", token.latent);
    tokens.push_back(one);
  }
  line.set("tokens", tokens);
  return line;
}

void report(const Flags& flags, const LoadedModel& loaded, const Generation& result) {
  const std::vector<int32_t> prompt = prompt_tokens(loaded.tokenizer, flags.prompt);
  const double nats = ar_nats_per_token(loaded.model, prompt, result.tokens);
  if (!flags.json) {
    log_info(
        "\n[{}: {} tokens, {:.2f} per forward pass, {:.0f} tokens/s, AR {:.3f} nats per token]",
        mode_name(flags.options.decode.mode), result.tokens.size(), result.tokens_per_forward(),
        result.tokens_per_second(), nats);
    return;
  }
  Record record;
  record.set("text", result.text).set("mode", mode_name(flags.options.decode.mode));
  record.set("tokens", result.tokens.size()).set("passes", result.passes);
  record.set("tokens_per_forward", result.tokens_per_forward());
  record.set("tokens_per_second", result.tokens_per_second()).set("ar_nats_per_token", nats);
  record.set("drafted", result.drafted)
      .set("accepted", result.accepted)
      .set("finish", result.finish);
  fmt::print("{}\n", record.dump());
}

void check(const Flags& flags) {
  if (flags.options.decode.max_tokens < 0) throw UsageError("--max-tokens: expected 0 or more");
}

void run(Flags& flags) {
  use_threads(flags.threads);
  choose_mode(flags);
  check(flags);
  std::optional<AtomicFile> trace;
  if (!flags.trace.empty()) trace.emplace(flags.trace);  // if it cannot be written, say so now
  flags.options.decode.trace = trace.has_value();
  const LoadedModel loaded = load_model(flags.model, parse_precision(flags.precision));
  suit_model(flags, loaded.model.config());
  const bool live = !flags.json && isatty(STDOUT_FILENO) != 0;
  LiveView view(loaded.tokenizer);
  std::string_view prompt;  // still to be shown
  if (!flags.json) prompt = flags.prompt;
  const auto show_prompt = [&] { fmt::print("{}", std::exchange(prompt, {})); };
  const auto on_pass = [&](std::string_view text, const PassTrace& pass) {
    if (trace) trace->write(trace_record(pass, loaded.tokenizer).dump() + "\n");
    show_prompt();  // not earlier: the session may refuse it
    if (live) {
      view.show(text, pass);
    } else if (!flags.json) {
      fmt::print("{}", text);
      flush_output();
    }
  };
  const Generation result =
      generate(loaded.model, loaded.tokenizer, flags.prompt, flags.options, on_pass);
  if (trace) trace->commit();
  show_prompt();
  if (!flags.json) fmt::print("{}\n", live ? "\x1b[K" : "");
  flush_output();
  report(flags, loaded, result);
}

}  // namespace

void add_generate_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<Flags>();
  DecodeOptions& decode = flags->options.decode;
  CLI::App* command = app.add_subcommand("generate", "Continue a text");
  command->add_option("model", flags->model, "model folder")->required();
  command->add_option("--prompt", flags->prompt, "text to continue");
  command->add_option(
      "--mode", flags->mode,
      "ar, exact (default: the AR model's text, in fewer passes), evo or diffusion; a model "
      "trained with flow=false knows ar only, and does that by default");
  command->add_option("--balance", flags->balance,
                      "0 exact .. 1 diffusion; between them drafts are accepted more leniently");
  command->add_option("--max-tokens", decode.max_tokens, "tokens at most")->capture_default_str();
  command->add_option("--temperature", decode.sampler.temperature, "0: greedy")
      ->capture_default_str();
  command->add_option("--top-k", decode.sampler.top_k, "keep the k likeliest tokens; 0: all")
      ->capture_default_str();
  command->add_option("--top-p", decode.sampler.top_p, "keep the likeliest tokens of this mass")
      ->capture_default_str();
  command->add_option("--seed", decode.seed, "seed of everything random")->capture_default_str();
  command->add_option("--stop", flags->options.stop, "end before this text; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--window", decode.window, "evolving tokens per pass")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--steps", decode.steps, "diffusion: passes per token at most")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--trace", flags->trace, "write what every pass knew, as JSON lines");
  command->add_option("--precision", flags->precision, "auto, f32 or bf16");
  command->add_option("--threads", flags->threads, "threads; default: all cores");
  command->add_flag("--json", flags->json, "print one JSON object on stdout");
  command->callback([flags, &action] { action = [flags] { run(*flags); }; });
}

}  // namespace evo
