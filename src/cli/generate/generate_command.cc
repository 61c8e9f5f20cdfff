// evo generate
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "api/learnt_costs.h"
#include "base/log.h"
#include "base/process/watcher.h"
#include "cli/cache_folder.h"
#include "cli/common_options.h"
#include "cli/generate/chat_question.h"
#include "cli/generate/live_view.h"
#include "cli/generate/replay.h"
#include "cli/generate/trace_files.h"
#include "cli/hub/model_option.h"
#include "cli/mode_choice.h"
#include "cli/number_range.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/prompt_input.h"
#include "decode/generate.h"
#include "decode/loaded_model.h"
#include "files/files.h"
#include "json/record.h"

namespace evo::cli {
namespace {

constexpr int64_t kLargestSchema = int64_t{1} << 20;  // bytes
constexpr double kSlowest = 0.01, kFastest = 1000;    // passes per second
constexpr std::string_view kReplay = "--replay", kPace = "--pace", kTraceMap = "--trace-map";

struct GenerateFlags {
  std::string model, mode, trace, trace_map, schema, precision = "auto", kv_cache = kDefaultKvCache;
  PromptFlags prompt;
  std::optional<std::string> prefix, suffix, edit, replay;
  ChatQuestion question;
  std::optional<double> balance;
  double pace = ReplayRequest().pace;
  double edit_time = 0.6;
  decode::GenerateOptions options;
  int threads = 0;
  bool json = false, chat = false, ordinary_names = false;
};

/// What is given and what is asked for: the texts around what is generated.
struct WritingTask {
  std::string before, after;
  std::string old_text;  ///< what is between them until it is edited
};

/// The span START:END of a text, in characters; what lies outside stays.
WritingTask edit_task(const std::string& text, const std::string& span) {
  size_t begin = 0, end = 0;
  const char* const last = span.data() + span.size();
  const auto first = std::from_chars(span.data(), last, begin);
  const bool has_colon = first.ec == std::errc() && first.ptr != last && *first.ptr == ':';
  const auto second = has_colon ? std::from_chars(first.ptr + 1, last, end) : first;
  if (!has_colon || second.ec != std::errc() || second.ptr != last || begin >= end) {
    throw UsageError(fmt::format(
        "--edit '{}': expected START:END, two places in the text counted in characters from 0, as "
        "in 10:25",
        span));
  }
  std::vector<size_t> starts;  // of characters
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) starts.push_back(i);
  }
  starts.push_back(text.size());
  if (end >= starts.size()) {
    throw UsageError(
        fmt::format("--edit {}: the text has only {} characters", span, starts.size() - 1));
  }
  const size_t from = starts[begin], to = starts[end];
  return {text.substr(0, from), text.substr(to), text.substr(from, to - from)};
}

/// A gap and a text that is edited are no conversation.
void check_chat(const GenerateFlags& flags) {
  if (flags.chat && (flags.prefix || flags.suffix || flags.edit))
    throw UsageError("--chat asks with --prompt: leave --prefix, --suffix and --edit out");
  if (flags.chat && !flags.prompt.text && !flags.prompt.file)
    throw UsageError("--chat: expected the question as --prompt or --prompt-file");
  if (!flags.chat && (flags.question.system || !flags.question.template_variables.empty()))
    throw UsageError("--system and --chat-template-kwargs are for --chat only");
}

WritingTask choose_task(GenerateFlags& flags) {
  check_chat(flags);
  if ((flags.prompt.text || flags.prompt.file) && flags.prefix)
    throw UsageError("--prompt and --prefix mean the same: give one of them");
  if (flags.edit && flags.suffix)
    throw UsageError("--edit and --suffix exclude each other: --edit finds its own place");
  if (flags.prefix) flags.prompt.text = flags.prefix;
  const std::string text = read_prompt(flags.prompt).value_or("");
  if (!flags.edit) return {text, flags.suffix.value_or(""), ""};
  const bool other_mode =
      !flags.mode.empty() && decode::parse_mode(flags.mode) != decode::Mode::kDiffusion;
  if (other_mode || (flags.balance && *flags.balance != 1)) {
    throw UsageError(
        "--edit needs --mode diffusion: only there text evolves from what was there before");
  }
  if (!(flags.edit_time > 0 && flags.edit_time <= 1))
    throw UsageError(fmt::format("--edit-time {}: expected above 0, at most 1", flags.edit_time));
  flags.mode = decode::mode_name(decode::Mode::kDiffusion);
  return edit_task(text, *flags.edit);
}

decode::Prompt make_prompt(const WritingTask& task, const tokenizer::Tokenizer& tokenizer,
                           GenerateFlags& flags) {
  decode::GenerateOptions& options = flags.options;
  if (flags.chat) {
    flags.question.text = task.before;
    return question_prompt(flags.model, flags.question, tokenizer, options.stop);
  }
  if (!task.old_text.empty()) {
    tokenizer.encode_append(task.old_text, options.sketch);
    options.sketch_time = flags.edit_time;
    options.decode.max_tokens = std::ssize(options.sketch);
  }
  using decode::NamesInText;
  const NamesInText names = flags.ordinary_names ? NamesInText::kOrdinary : NamesInText::kSpecial;
  if (task.after.empty()) return decode::text_prompt(tokenizer, task.before, names);
  return decode::gap_prompt(tokenizer, task.before, task.after, options.decode.max_tokens, names);
}

/// Shows the text while it comes: live on a terminal, piece by piece elsewhere.
class Display {
 public:
  Display(const GenerateFlags& flags, const WritingTask& task)
      : silent_(flags.json),
        live_(isatty(STDOUT_FILENO) != 0),
        before_(flags.chat ? "" : task.before),
        after_(task.after) {}

  /// The text before comes with the first piece, not earlier: the session may refuse it.
  void show(std::string_view text, std::span<const decode::TraceToken> tokens) {
    if (silent_) return;
    const std::string piece = std::exchange(before_, "") + std::string(text);
    if (live_) return view_.show(piece, tokens);
    fmt::print("{}", piece);
    flush_output();
  }
  void end() {
    if (silent_) return;
    show("", {});
    if (live_) return view_.end(after_);
    fmt::print("{}\n", after_);
    flush_output();
  }

 private:
  bool silent_, live_;
  std::string before_, after_;
  LiveView view_;
};

void report(const GenerateFlags& flags, const decode::LoadedModel& loaded,
            const decode::Prompt& prompt, const decode::Generation& result) {
  const double nats = decode::ar_nats_per_token(loaded.model, prompt, result.tokens);
  if (!flags.json) {
    log_info(
        "\n[{}: {} tokens, {:.2f} per forward pass, {:.0f} tokens/s, AR {:.3f} nats per token]",
        decode::mode_name(flags.options.decode.mode), result.tokens.size(),
        result.tokens_per_forward(), result.tokens_per_second(), nats);
    return;
  }
  json::Record record;
  record.set("text", result.text).set("mode", decode::mode_name(flags.options.decode.mode));
  record.set("tokens", result.tokens.size()).set("passes", result.passes);
  record.set("tokens_per_forward", result.tokens_per_forward());
  record.set("tokens_per_second", result.tokens_per_second()).set("ar_nats_per_token", nats);
  record.set("drafted", result.drafted)
      .set("accepted", result.accepted)
      .set("finish", result.finish);
  fmt::print("{}\n", record.dump());
}

void check(const GenerateFlags& flags) {
  if (flags.model.empty())
    throw UsageError("generate: a model folder is required, or --replay with a trace");
  if (!flags.trace.empty() && flags.trace == flags.trace_map)
    throw UsageError("--trace and --trace-map: expected two different files");
}

/// The text is to be as the schema has it.
void constrain(const GenerateFlags& flags, const decode::Decoder& decoder,
               const tokenizer::Tokenizer& tokenizer, decode::DecodeOptions& options) {
  if (flags.schema.empty()) return;
  if (options.mode == decode::Mode::kDiffusion) {
    throw UsageError(
        "--json-schema: diffusion mode settles tokens in any order; use --mode exact, evo or ar");
  }
  std::vector<int32_t> ends = decoder.ends().tokens();
  if (flags.chat) {
    std::ranges::copy(chat::single_tokens(flags.options.stop, tokenizer), std::back_inserter(ends));
  }
  options.shape.grammar = grammar::GrammarState(
      grammar::Grammar::from_json_schema(files::read_text(flags.schema, kLargestSchema)),
      std::make_shared<grammar::TokenTrie>(tokenizer, ends));
}

/// What is cut is no JSON, and must not pass for it.
void check_complete(const GenerateFlags& flags, const decode::Generation& result) {
  if (flags.schema.empty()) return;
  if (result.finish == "length") {
    fail(
        "--json-schema: the text was cut after {} tokens, before its JSON was complete: raise "
        "--max-tokens, now {}, if the model's context has room for more",
        result.tokens.size(), flags.options.decode.max_tokens);
  }
  if (result.finish == "stop") {
    fail("--json-schema: a --stop text ended the text before its JSON was complete");
  }
}

void run_replay(const GenerateFlags& flags) {
  replay({*flags.replay, flags.pace, flags.trace_map});
}

void run_generate(GenerateFlags& flags) {
  if (flags.replay) return run_replay(flags);
  use_threads(flags.threads);
  const WritingTask task = choose_task(flags);
  mode_choice(flags.mode, flags.balance).apply(flags.options.decode);
  check(flags);
  TraceFiles files(flags.trace, flags.trace_map);
  flags.options.decode.trace = files.wanted();
  const decode::LoadedModel loaded = decode::load_model(
      flags.model, parse_precision(flags.precision), parse_cache_format(flags.kv_cache));
  mode_choice(flags.mode, flags.balance).suit(loaded.model.config(), flags.options.decode);
  const decode::Decoder decoder(loaded.model, loaded.tokenizer);
  const LearntCosts costs(decoder, loaded.model.precision(), cache_folder());
  const decode::Prompt prompt = make_prompt(task, loaded.tokenizer, flags);
  constrain(flags, decoder, loaded.tokenizer, flags.options.decode);
  if (!flags.chat && !flags.edit) remark_on_template(flags.model, prompt, loaded.tokenizer);
  const decode::Tracer tracer(decoder, loaded.tokenizer, flags.options.decode, prompt, task.before,
                              task.after);
  files.begin(tracer.header());
  Display display(flags, task);
  const auto on_pass = [&](std::string_view text, const decode::PassTrace& pass) {
    const decode::TracePass record = tracer.record(text, pass);
    files.add(record);
    display.show(text, decode::uncommitted(tracer.header(), record));
  };
  const decode::Generation result =
      decode::generate(decoder, loaded.tokenizer, prompt, flags.options, on_pass);
  files.commit();
  display.end();
  report(flags, loaded, prompt, result);
  if (result.finish == "interrupted") {
    fail_interrupted("interrupted after {} tokens: the text is not complete", result.tokens.size());
  }
  check_complete(flags, result);
}

void add_replay_options(CLI::App& command, GenerateFlags& flags) {
  command.add_option(std::string(kReplay), flags.replay,
                     "show how the text of this --trace file came into being; needs no model");
  command
      .add_option(std::string(kPace), flags.pace,
                  "passes of a --replay per second, if it is on a terminal")
      ->check(number(kSlowest, kFastest))
      ->capture_default_str();
  command.add_option(std::string(kTraceMap), flags.trace_map,
                     "draw tokens by passes, coloured by maturity, as an SVG picture");
}

/// A replay takes no settings of a generation. (CLI11 could check that, but its help would then
/// name --replay with every option.)
void check_replay(const CLI::App& command, const GenerateFlags& flags) {
  const auto given = [](const CLI::Option* option) { return option->count() > 0; };
  for (const CLI::Option* option : command.get_options(given)) {
    const std::string name = option->get_name();
    if (!flags.replay && name == kPace)
      throw UsageError(fmt::format("{} is for {} only", kPace, kReplay));
    if (!flags.replay || name == kReplay || name == kPace || name == kTraceMap ||
        is_common_option(name)) {
      continue;
    }
    throw UsageError(
        fmt::format("{} shows what is in its file and takes no {}: leave it out", kReplay, name));
  }
}

}  // namespace

void add_generate_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<GenerateFlags>();
  decode::DecodeOptions& decode = flags->options.decode;
  CLI::App* command = app.add_subcommand("generate", "Continue a text");
  takes_model(command->add_option("model", flags->model, kModelHelp));
  add_prompt_options(*command, flags->prompt, "text to continue");
  command->add_option("--prefix", flags->prefix, "text before a gap (the same as --prompt)");
  command->add_flag("--chat", flags->chat,
                    "the prompt is a question, asked as the model's chat template has it; only the "
                    "answer is shown");
  command->add_option("--system", flags->question.system,
                      "of a --chat: what the assistant is to be");
  add_template_variables(*command, flags->question.template_variables);
  command->add_option("--suffix", flags->suffix,
                      "text after the gap: what fits between is generated, --max-tokens at most");
  command->add_flag("--no-special", flags->ordinary_names,
                    "names of special tokens in the prompt (<|im_start|>) are ordinary text; "
                    "without it they are those tokens");
  command->add_option("--edit", flags->edit,
                      "START:END: let these characters of the --prompt evolve again, by diffusion");
  command
      ->add_option("--edit-time", flags->edit_time,
                   "how far --edit goes: near 0 keeps the old text, 1 forgets it")
      ->check(number_above(0, 1))
      ->capture_default_str();
  command->add_option(
      "--mode", flags->mode,
      "ar, exact (default: the AR model's text, in fewer passes), evo or diffusion; a model "
      "trained with flow=false knows ar only, and does that by default");
  command
      ->add_option("--balance", flags->balance,
                   "0 exact .. 1 diffusion; between them drafts are accepted more leniently")
      ->check(number(0.0, 1.0));
  command->add_option("--max-tokens", decode.max_tokens, "tokens at most")
      ->check(number(int64_t{0}, kLargestCount))
      ->capture_default_str();
  add_sampling_options(*command, decode);
  add_repetition_penalty(*command, decode.shape.repetition_penalty);
  command->add_option("--stop", flags->options.stop, "end before this text; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option(
      "--json-schema", flags->schema,
      "file with a JSON Schema: the text is JSON that it describes; status 1 if it is "
      "cut before that is complete");
  command
      ->add_option("--window", decode.window,
                   "evolving tokens per pass; 0: as many as pay, in diffusion mode 8")
      ->check(number(0, 1024))
      ->capture_default_str();
  command
      ->add_option("--steps", decode.steps, "diffusion: passes in which a window ripens, at most")
      ->check(number(1, 4096))
      ->capture_default_str();
  command->add_option("--trace", flags->trace,
                      "write what every pass knew, as JSON lines; compressed if FILE ends in .zst");
  command->add_option("--precision", flags->precision, kPrecisionHelp);
  command->add_option("--kv-cache", flags->kv_cache, kKvCacheHelp);
  command->add_option("--threads", flags->threads, kThreadsHelp);
  command->add_flag("--json", flags->json, "print one JSON object on stdout");
  add_replay_options(*command, *flags);
  command->callback([flags, command, &action] {
    check_replay(*command, *flags);
    action = [flags] { run_generate(*flags); };
  });
}

}  // namespace evo::cli
