// The command line: parsing, exit codes, and what the commands share.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace evo::cli {

/// Exit code 0: done; 1: failed; 2: wrong usage; 130: ended by Ctrl-C or SIGTERM before
/// it was done; 141: the reader of standard output went away.
int run_program(int argc, char** argv);

/// What the chosen command does; set by the command's callback, run after parsing.
using Action = std::function<void()>;

/// Tells people why the program fails: a line on standard error, also where that is closed.
void complain(std::string_view message);

/// Hands what was printed to the reader. A result that could not be written must not pass for
/// success: throws std::system_error.
void flush_output();

// Each adds one subcommand; see the file of that name.
void add_train_command(CLI::App& app, Action& action);
void add_adapt_command(CLI::App& app, Action& action);
void add_generate_command(CLI::App& app, Action& action);
void add_chat_command(CLI::App& app, Action& action);
void add_serve_command(CLI::App& app, Action& action);
void add_eval_command(CLI::App& app, Action& action);
void add_eval_tasks_command(CLI::App& eval, Action& action);
void add_eval_make_command(CLI::App& eval, Action& action);
void add_eval_report_command(CLI::App& eval, Action& action);
void add_info_command(CLI::App& app, Action& action);
void add_plan_command(CLI::App& app, Action& action);
void add_bench_command(CLI::App& app, Action& action);
void add_bench_decode_command(CLI::App& bench, Action& action);
void add_tokenizer_command(CLI::App& app, Action& action);
void add_convert_command(CLI::App& app, Action& action);
void add_demo_command(CLI::App& app, Action& action);
void add_pull_command(CLI::App& app, Action& action);
void add_list_command(CLI::App& app, Action& action);
void add_remove_command(CLI::App& app, Action& action);

}  // namespace evo::cli
