// Texts that are given on the command line, in a file or through standard input.
#pragma once

#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace evo::cli {

struct PromptFlags {
  std::optional<std::string> text;  ///< "-": standard input
  std::optional<std::string> file;
};

/// Adds --prompt and --prompt-file.
void add_prompt_options(CLI::App& command, PromptFlags& flags, const std::string& help);

/// The prompt, if one was given. Throws UsageError if there are two.
[[nodiscard]] std::optional<std::string> read_prompt(const PromptFlags& flags);

/// The text of a file, or of standard input if its name is "-", without the line end at its end,
/// which editors and `echo` add; of several at the end, only the last one goes. Throws Error if it
/// cannot be read or is longer than 16 MB.
[[nodiscard]] std::string read_prompt_file(const std::string& name);

}  // namespace evo::cli
