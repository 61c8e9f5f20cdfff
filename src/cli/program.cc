#include "cli/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>
#include <new>
#include <string_view>
#include <system_error>

#include "base/closest.h"
#include "base/denormals.h"
#include "base/error.h"
#include "base/log.h"
#include "base/process/interrupt.h"
#include "base/process/watcher.h"
#include "base/terminal/progress.h"
#include "base/threads/cpu_limit.h"
#include "base/threads/thread_pool.h"
#include "cli/common_options.h"
#include "cli/hub/model_option.h"
#include "cli/number_range.h"

namespace evo::cli {
namespace {

constexpr int kDone = 0, kFailed = 1, kWrongUsage = 2;
constexpr int kInterrupted = 128 + SIGINT;
constexpr int kReaderGone = 128 + SIGPIPE;  // what a shell reports for a program that died of it

std::vector<std::string> names_of(const std::vector<CLI::App*>& commands) {
  std::vector<std::string> names;
  for (const CLI::App* command : commands) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

/// Follows the words of the command line down to a command without subcommands. CLI11 by itself
/// says only that a subcommand is missing, whatever stands in its place.
void check_command(CLI::App& app, int argc, char** argv) {
  CLI::App* at = &app;
  std::string path = app.get_name();
  for (int i = 1;; ++i) {
    const std::vector<CLI::App*> commands = at->get_subcommands([](CLI::App*) { return true; });
    if (commands.empty()) return;
    const std::vector<std::string> names = names_of(commands);
    const std::string expected =
        fmt::format("expected one of {}; see {} --help", fmt::join(names, ", "), path);
    if (i >= argc) throw UsageError("no command: " + expected);
    const std::string word = argv[i];
    if (at->get_option_no_throw(word) != nullptr) return;
    const auto found = std::ranges::find(names, word);
    if (found == names.end()) {
      const bool option = word.starts_with("-");
      throw UsageError(fmt::format("unknown {} '{}': {}{}", option ? "option" : "command", word,
                                   expected,
                                   did_you_mean(word, option ? option_names(*at) : names)));
    }
    at = commands[found - names.begin()];
    path += " " + word;
  }
}

/// The one that the command line names, below all others.
const CLI::App& chosen_command(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : chosen_command(*chosen.front());
}

/// An option that does not exist is named before others that are missing: it may be one of those,
/// misspelt.
std::string usage_message(const CLI::App* app, const CLI::Error& error) {
  const CLI::App* command = &chosen_command(*app);
  std::string path = command->get_name();
  for (const CLI::App* above = command; above != app;) {
    above = above->get_parent();
    path = above->get_name() + " " + path;
  }
  std::string what = error.what(), hint;
  for (const std::string& word : app->remaining(true)) {
    if (!word.starts_with('-')) continue;
    const std::string name = word.substr(0, word.find('='));
    what = fmt::format("unknown option '{}'", name);
    hint = did_you_mean(name, option_names(*command));
    break;
  }
  return fmt::format("{}: {}; see {} --help{}\n", path, what, path, hint);
}

/// A file that is opened while a standard stream is closed would take its place and receive what is
/// printed. Standard output is replaced by something that cannot be written: a result that nobody
/// gets is a failure, a lost message is not.
void fill_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    const int mode = stream == STDERR_FILENO ? O_WRONLY : O_RDONLY;
    const int opened = open("/dev/null", mode);  // takes the lowest free number
    if (opened != stream) fail("cannot open /dev/null: {}", errno_message(errno));
  }
}

void add_commands(CLI::App& app, Action& action) {
  app.name("evo");
  app.require_subcommand(1);
  app.set_version_flag("--version", "evo " EVO_VERSION);
  app.failure_message(usage_message);
  add_demo_command(app, action);
  add_pull_command(app, action);
  add_list_command(app, action);
  add_remove_command(app, action);
  add_train_command(app, action);
  add_adapt_command(app, action);
  add_generate_command(app, action);
  add_chat_command(app, action);
  add_serve_command(app, action);
  add_eval_command(app, action);
  add_info_command(app, action);
  add_plan_command(app, action);
  add_bench_command(app, action);
  add_convert_command(app, action);
  add_tokenizer_command(app, action);
}

/// What --threads may be. To find out reads files of the system: once per program.
CLI::Validator thread_range() {
  const int most = static_cast<int>(std::min<int64_t>(online_cpus(), kMaxThreads));
  const int64_t usual = default_threads();
  return number_that<int>(
      fmt::format("from 1 to {}, the CPUs of this machine; without it {} {} used", most, usual,
                  usual == 1 ? "is" : "are"),
      [=](int n) { return n >= 0 && n <= most; });
}

/// Every command that has it.
void check_threads(CLI::App& app, const CLI::Validator& range) {
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    if (CLI::Option* threads = command->get_option_no_throw("--threads")) threads->check(range);
    check_threads(*command, range);
  }
}

/// A model that is nowhere is missed by whoever opens a file of it, who knows no hub.
void run(const Action& action, const CLI::App& app) {
  try {
    action();
  } catch (const UsageError&) {
    throw;
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    const std::string missing = missing_model(chosen_command(app));
    if (missing.empty()) throw;
    fail("{}\n{}", error.what(), missing);
  }
}

/// Of all that the program does: ends it after a signal, shows progress on the terminal.
class TerminalWatcher : public Watcher {
 public:
  [[nodiscard]] bool wants_end() const override { return signalled(); }
  [[nodiscard]] std::unique_ptr<ProgressView> view(const ProgressState& begin) override {
    if (log_level() == LogLevel::kQuiet) return nullptr;
    return std::make_unique<TerminalProgress>(begin);
  }
};

int parse_and_run(int argc, char** argv) {
  CLI::App app(
      "Evo: autoregressive-diffusion language models. Trains, generates and evaluates.\n"
      "Start with:  evo demo");
  Action action;
  CommonFlags common;
  add_commands(app, action);
  add_common_options(app, common);
  check_threads(app, thread_range());
  check_command(app, argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {  // --help and --version among them
    if (app.exit(error) != 0) return kWrongUsage;
    flush_output();  // while errno still says why it failed
    action = [] {};
  }
  common.apply();
  catch_interrupts();
  run(action, app);
  flush_output();
  return kDone;
}

}  // namespace

// Not fmt::print: it throws where standard error is closed.
void complain(std::string_view message) {
  std::fputs(fmt::format("evo: {}\n", message).c_str(), stderr);
}

void flush_output() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  throw std::system_error(errno, std::generic_category(), "cannot write to standard output");
}

int run_program(int argc, char** argv) {
  flush_denormals();  // before there are other threads, which inherit it
  log_to_terminal();
  static TerminalWatcher watcher;
  set_program_watcher(&watcher);
  // A write to a closed pipe is to be an error like others, after which temporary files go.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    fill_closed_streams();
    return parse_and_run(argc, argv);
  } catch (const UsageError& error) {
    complain(error.what());
    return kWrongUsage;
  } catch (const Interrupted& error) {
    complain(error.what());
    return kInterrupted;
  } catch (const std::bad_alloc&) {
    complain("out of memory: use a smaller model, batch or sequence");
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::broken_pipe) return kReaderGone;  // `| head` is no fault
    complain(error.what());
  } catch (const std::exception& error) {
    complain(error.what());
  }
  return kFailed;
}

}  // namespace evo::cli
