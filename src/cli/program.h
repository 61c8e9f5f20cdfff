// The command line: parsing, exit codes, and what the commands share.
#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace evo {

/// Exit code 0: done; 1: failed; 2: wrong usage.
int run_program(int argc, char** argv);

/// What the chosen command does; set by the command's callback, run after parsing.
using Action = std::function<void()>;

// Each adds one subcommand; see the file of that name.
void add_train_command(CLI::App& app, Action& action);
void add_generate_command(CLI::App& app, Action& action);
void add_eval_command(CLI::App& app, Action& action);
void add_info_command(CLI::App& app, Action& action);
void add_bench_command(CLI::App& app, Action& action);
void add_tokenizer_command(CLI::App& app, Action& action);
void add_demo_command(CLI::App& app, Action& action);

}  // namespace evo
