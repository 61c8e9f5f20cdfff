// Options that every command has, and what they and the environment say about output.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
class Validator;
}  // namespace CLI

namespace evo::cli {

struct CommonFlags {
  bool quiet = false;
  std::string color = "auto";

  /// --color, NO_COLOR, TERM=dumb and --quiet, for the whole process.
  void apply() const;
};

/// Adds --color and --quiet to all commands below `app` that have no subcommands. A command that
/// has a --quiet of its own keeps it.
void add_common_options(CLI::App& app, CommonFlags& flags);

/// True for the names of options that add_common_options() adds.
[[nodiscard]] bool is_common_option(const std::string& name);

/// An option that takes one of these names.
[[nodiscard]] CLI::Validator one_of(const std::vector<std::string>& names);

}  // namespace evo::cli
