#include "cli/common_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "base/closest.h"
#include "base/log.h"
#include "base/terminal/terminal.h"

namespace evo::cli {
namespace {

constexpr std::string_view kColor = "--color", kQuiet = "--quiet";

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

void CommonFlags::apply() const {
  TerminalSettings settings;
  settings.cursor = environment("TERM") != "dumb";
  if (color != "auto") {
    settings.color = color == "always";
  } else if (!environment("NO_COLOR").empty()) {  // as https://no-color.org has it
    settings.color = false;
  }
  set_terminal_settings(settings);
  if (quiet) set_log_level(LogLevel::kQuiet);
}

void add_common_options(CLI::App& app, CommonFlags& flags) {
  const std::vector<CLI::App*> commands = app.get_subcommands([](CLI::App*) { return true; });
  for (CLI::App* command : commands) add_common_options(*command, flags);
  if (!commands.empty()) return;
  app.add_option(std::string(kColor), flags.color,
                 "auto: on terminals, unless NO_COLOR is set or TERM is dumb; always; never")
      ->check(one_of({"auto", "always", "never"}))
      ->capture_default_str();
  if (app.get_option_no_throw(std::string(kQuiet)) != nullptr) return;
  app.add_flag(std::string(kQuiet), flags.quiet,
               "only results, warnings and errors: no progress, no remarks");
}

bool is_common_option(const std::string& name) {
  return name == kColor || name == kQuiet;
}

CLI::Validator one_of(const std::vector<std::string>& names) {
  const auto check = [names](const std::string& name) -> std::string {
    if (std::ranges::find(names, name) != names.end()) return {};
    return fmt::format("expected {}, found '{}'{}", fmt::join(names, " or "), name,
                       did_you_mean(name, names));
  };
  return CLI::Validator(check, fmt::format("{{{}}}", fmt::join(names, ",")));
}

}  // namespace evo::cli
