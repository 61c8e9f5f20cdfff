// Other programs, run to their end: output collected, Ctrl-C and time limits passed on.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace evo {

struct ChildOptions {
  double time_limit = 0;  ///< seconds, after which it is killed; 0: none
  /// Called with each line of its standard error; returns true for one that is no error message.
  std::function<bool(std::string_view line)> on_line;
};

struct ChildResult {
  std::string output;   ///< its standard output, the last 64 KB of it
  std::string failure;  ///< empty if it exited with 0, else why it did not: one line
};

/// Runs `arguments` (the program first, looked for in PATH) with no input, and kills whatever it
/// has left running. Throws Error if it cannot be started, or, with the child killed, on interrupt.
ChildResult run_child(const std::vector<std::string>& arguments, const ChildOptions& options);

/// The last line of `text` that is not blank, where programs put their result; else empty.
std::string last_line(const std::string& text);

}  // namespace evo
