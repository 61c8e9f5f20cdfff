// evo chat
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "api/learnt_costs.h"
#include "base/closest.h"
#include "base/log.h"
#include "base/process/watcher.h"
#include "cli/cache_folder.h"
#include "cli/chat/chat_history.h"
#include "cli/chat/chat_input.h"
#include "cli/generate/live_view.h"
#include "cli/hub/model_option.h"
#include "cli/mode_choice.h"
#include "cli/number_range.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/prompt_input.h"
#include "decode/generate.h"
#include "decode/loaded_model.h"
#include "decode/prefix_cache.h"
#include "decode/trace/trace.h"
#include "json/record.h"

namespace evo::cli {
namespace {

constexpr std::string_view kHelp =
    "/clear        forget the conversation\n"
    "/retry        answer the last question once more, otherwise\n"
    "/system TEXT  say what the assistant is to be; without TEXT: nothing\n"
    "/save FILE    write the conversation as JSON\n"
    "/exit         end, as Ctrl-D does\n"
    "A line that ends in \\ goes on in the next one, and several lines that are pasted are one\n"
    "message; a line that begins with a blank is never a command. Ctrl-C stops an answer; at the\n"
    "prompt, Ctrl-C twice or Ctrl-D ends.";
constexpr std::string_view kHistoryHelp =
    "On a terminal the arrow keys change the line and find earlier ones, Ctrl-R searches for "
    "them.\n"
    "They are kept in ~/.local/state/evo/chat-history ($XDG_STATE_HOME/evo/chat-history), which\n"
    "only you can read, unless there is --no-history.";

struct ChatFlags {
  std::string model, system, system_file, mode, template_variables, precision = "auto";
  std::string kv_cache = kDefaultKvCache;
  ChatSampling sampling{.usual = {.temperature = 0.7}};
  std::optional<double> balance;
  decode::GenerateOptions options;
  int threads = 0;
  bool json = false, no_history = false;
};

/// Thrown by the callback of generate() to leave it.
struct AnswerStopped {};

/// The answer to one prompt, shown while it comes.
class LiveAnswer {
 public:
  LiveAnswer(const decode::Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
             decode::PrefixCache& known, const ChatInterrupt& interrupt, bool silent)
      : decoder_(decoder),
        tokenizer_(tokenizer),
        known_(known),
        interrupt_(interrupt),
        silent_(silent),
        live_(isatty(STDOUT_FILENO) != 0) {}

  /// What the model says after `prompt`; if Ctrl-C comes, what it said until then.
  decode::Generation run(const decode::Prompt& prompt, const decode::GenerateOptions& options) {
    const auto start = std::chrono::steady_clock::now();
    const decode::Tracer tracer(decoder_, tokenizer_, options.decode, prompt, "", "");
    const auto on_pass = [&](std::string_view text, const decode::PassTrace& pass) {
      note(text, pass);
      show(text, decode::uncommitted(tracer.header(), tracer.record(text, pass)));
      if (interrupt_.pending()) throw AnswerStopped();
    };
    decode::Generation result;
    try {
      result = decode::generate(decoder_, tokenizer_, prompt, options, on_pass, &known_);
    } catch (const AnswerStopped&) {
      result = std::move(seen_);
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      result.seconds = taken.count();
    }
    end();
    return result;
  }

 private:
  void note(std::string_view text, const decode::PassTrace& pass) {
    seen_.text += text;
    seen_.tokens.insert(seen_.tokens.end(), pass.committed.begin(), pass.committed.end());
    ++seen_.passes;
    seen_.finish = "interrupted";
  }

  void show(std::string_view text, std::span<const decode::TraceToken> tokens) {
    if (silent_) return;
    if (live_) return view_.show(text, tokens);
    fmt::print("{}", text);
    flush_output();
  }

  void end() {
    if (silent_) return;
    if (live_) {
      view_.end("");
    } else {
      fmt::print("\n");
    }
    flush_output();
  }

  const decode::Decoder& decoder_;
  const tokenizer::Tokenizer& tokenizer_;
  decode::PrefixCache& known_;
  const ChatInterrupt& interrupt_;
  bool silent_, live_;
  LiveView view_;
  decode::Generation seen_;
};

class Chat {
 public:
  Chat(const ChatFlags& flags, const decode::LoadedModel& loaded)
      : flags_(flags),
        options_(flags.options),
        tokenizer_(loaded.tokenizer),
        decoder_(loaded.model, loaded.tokenizer),
        costs_(decoder_, loaded.model.precision(), cache_folder()),
        context_(loaded.model.config().max_position_embeddings),
        known_(std::make_shared<model::KvPool>(
            loaded.model.config(), 2 * context_ + ops::kCacheBlock, loaded.model.cache_format())),
        template_(chat::ChatTemplate::load(flags.model)
                      .with_variables(template_variables_of(flags.template_variables))),
        history_(template_, tokenizer_) {
    mode_choice(flags.mode, flags.balance).suit(loaded.model.config(), options_.decode);
    options_.stop = chat::chat_stops(template_, tokenizer_);
    history_.set_system(flags.system);
    if (template_.is_fallback()) log_info("[the model has no chat template: ChatML is used]");
  }

  void run() {
    ChatInput input(interrupt_, TurnFile(flags_.no_history ? "" : turn_file_path()));
    if (ChatInput::is_interactive()) log_info("[/help lists what you can do]");
    std::string turn;
    for (bool asked_to_end = false;;) {
      const ChatInput::Event event = input.read(turn);
      if (event == ChatInput::Event::kEnd ||
          (event == ChatInput::Event::kInterrupt && asked_to_end))
        return;
      asked_to_end = event == ChatInput::Event::kInterrupt;
      if (asked_to_end) {
        log_info("[Ctrl-C again, Ctrl-D or /exit ends]");
      } else if (!guarded(turn)) {
        return;
      }
      if (interrupted()) return;
    }
  }

 private:
  /// false: that was the end. On a terminal a fault of one turn is no reason to lose the others.
  bool guarded(const std::string& turn) {
    if (!ChatInput::is_interactive()) return handle(turn);
    try {
      return handle(turn);
    } catch (const Error& error) {
      log_warning("{}", error.what());
      return true;
    }
  }

  bool handle(const std::string& turn) {
    if (turn.empty()) return true;
    if (turn.starts_with('/')) return command(turn);
    history_.add("user", turn);
    answer();
    return true;
  }

  bool command(const std::string& line) {
    const size_t blank = line.find(' ');
    const std::string name = line.substr(0, blank);
    const std::string rest = blank == std::string::npos ? "" : line.substr(blank + 1);
    if (name == "/exit") return false;
    if (name == "/clear") {
      history_.clear();
    } else if (name == "/system") {
      history_.set_system(rest);
    } else if (name == "/retry") {
      retry();
    } else if (name == "/save") {
      save(rest);
    } else if (name == "/help") {
      log_info("{}", kHelp);
    } else {
      log_warning("unknown command {}; there are /clear, /retry, /system, /save, /help and /exit{}",
                  name,
                  did_you_mean(name, {"/clear", "/retry", "/system", "/save", "/help", "/exit"}));
    }
    return true;
  }

  /// With other random numbers: the same ones would give the same answer.
  void retry() {
    if (!history_.drop_last("assistant")) return log_warning("/retry: there is no answer yet");
    ++options_.decode.seed;
    answer();
  }

  void save(const std::string& path) const {
    if (path.empty()) return log_warning("/save: expected the name of a file behind it");
    history_.save(path);
    log_info("[saved as {}]", path);
  }

  void answer() {
    decode::Generation result;
    try {
      const decode::Prompt prompt = next_prompt();
      known_.shrink((context_ + ops::kCacheBlock - 1) /
                    ops::kCacheBlock);  // as much again for the answer
      LiveAnswer answer(decoder_, tokenizer_, known_, interrupt_, flags_.json);
      result = answer.run(prompt, options_);
    } catch (...) {
      history_.drop_last("user");  // which can have no answer
      throw;
    }
    interrupt_.take();
    history_.add("assistant", result.text);
    report(result);
  }

  /// Leaves a quarter of the context for the answer, or as much as the answer may take.
  decode::Prompt next_prompt() {
    const int64_t room = std::min(options_.decode.max_tokens, std::max<int64_t>(1, context_ / 4));
    const size_t before = history_.dropped();
    decode::Prompt prompt = history_.prompt(context_, room);
    if (history_.dropped() > before) {
      log_info("[the context of {} tokens is full: the oldest {} messages are left out]", context_,
               history_.dropped());
    }
    return prompt;
  }

  void report(const decode::Generation& result) const {
    if (!flags_.json) {
      log_info("[{}: {} tokens, {:.2f} per forward pass, {:.0f} tokens/s]",
               decode::mode_name(options_.decode.mode), result.tokens.size(),
               result.tokens_per_forward(), result.tokens_per_second());
      return;
    }
    json::Record record;
    record.set("role", "assistant").set("content", result.text);
    record.set("tokens", result.tokens.size());
    record.set("tokens_per_second", result.tokens_per_second());
    record.set("tokens_per_forward", result.tokens_per_forward());
    fmt::print("{}\n", record.dump());
    flush_output();
  }

  const ChatFlags& flags_;
  decode::GenerateOptions options_;
  const tokenizer::Tokenizer& tokenizer_;
  decode::Decoder decoder_;
  LearntCosts costs_;
  int64_t context_;
  decode::PrefixCache known_;  // the conversation so far: a turn reads what is new
  chat::ChatTemplate template_;
  ChatHistory history_;
  ChatInterrupt interrupt_;
};

std::string system_of(const ChatFlags& flags) {
  if (!flags.system.empty()) {
    throw UsageError("--system and --system-file exclude each other: give one of them");
  }
  if (flags.system_file == "-") {
    throw UsageError("--system-file -: standard input has the turns; give the name of a file");
  }
  return read_prompt_file(flags.system_file);
}

void run_chat(ChatFlags& flags) {
  use_threads(flags.threads);
  mode_choice(flags.mode, flags.balance).apply(flags.options.decode);
  if (flags.options.decode.max_tokens < 1) throw UsageError("--max-tokens: expected 1 or more");
  (void)template_variables_of(flags.template_variables);
  if (!flags.system_file.empty()) flags.system = system_of(flags);
  const ops::CacheFormat cache_format = parse_cache_format(flags.kv_cache);
  const decode::LoadedModel loaded =
      decode::load_model(flags.model, parse_precision(flags.precision), cache_format);
  const decode::GenerationDefaults defaults = flags.sampling.defaults(flags.model);
  flags.sampling.apply(defaults, flags.options.decode);
  if (!defaults.empty()) {
    log_info("[as the model asks for it: {} (--no-defaults: not)]", defaults.text());
  }
  Chat(flags, loaded).run();
}

}  // namespace

void add_chat_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<ChatFlags>();
  flags->options.decode.max_tokens = 1024;
  CLI::App* command = app.add_subcommand("chat", "Talk with a model, turn by turn");
  takes_model(command->add_option("model", flags->model, kModelHelp))->required();
  command->add_option("--system", flags->system, "what the assistant is to be");
  command->add_option("--system-file", flags->system_file,
                      "file that says it. One line end at its end is not part of it");
  command->add_option("--mode", flags->mode,
                      "ar, exact (default for Evo models), evo or diffusion");
  command
      ->add_option("--balance", flags->balance,
                   "0 exact .. 1 diffusion; between them drafts are accepted more leniently")
      ->check(number(0.0, 1.0));
  command
      ->add_option("--max-tokens", flags->options.decode.max_tokens, "tokens of an answer at most")
      ->check(number(int64_t{1}, kLargestCount))
      ->capture_default_str();
  add_chat_sampling_options(*command, flags->sampling, flags->options.decode);
  add_template_variables(*command, flags->template_variables);
  command->add_option("--precision", flags->precision, kPrecisionHelp);
  command->add_option("--kv-cache", flags->kv_cache, kKvCacheHelp);
  command->add_option("--threads", flags->threads, kThreadsHelp);
  command->add_flag("--json", flags->json, "print one JSON object per answer on stdout");
  command->add_flag("--no-history", flags->no_history, "neither read nor keep what was typed");
  command->footer(
      fmt::format("Turns come from standard input, a line each.\n{}\n{}", kHelp, kHistoryHelp));
  command->callback([flags, &action] { action = [flags] { run_chat(*flags); }; });
}

}  // namespace evo::cli
