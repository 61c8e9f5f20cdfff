// Other programs, run to their end: output collected, Ctrl-C and limits passed on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace evo {

/// A limit of setrlimit(2): beyond `soft` the program is told, beyond `hard` it is stopped.
struct ResourceLimit {
  int resource = 0;  ///< RLIMIT_CPU ...
  uint64_t soft = 0, hard = 0;
};

struct ChildOptions {
  double time_limit = 0;  ///< seconds, after which it is killed; 0: none
  /// What it prints first, when it has set itself up: `time_limit` counts from there, and setting
  /// up has a minute of its own, since on a busy machine it can take longer than the task. Empty:
  /// `time_limit` counts from the start.
  std::string ready = {};
  /// Called with each line of its standard error; returns true for one that is no error message.
  std::function<bool(std::string_view line)> on_line = {};

  std::string input = {};     ///< what it reads; empty: nothing
  bool join_streams = false;  ///< its standard error is part of its output
  int64_t output_limit = 0;   ///< bytes, after which it is killed; 0: none, and the end is kept
  std::vector<ResourceLimit> limits = {};
  /// Not trusted: if we are root it becomes nobody, whom limits bind; and when memory runs out, it
  /// is the one to end.
  bool distrusted = false;
};

struct ChildResult {
  std::string output;    ///< its standard output, the last 64 KB of it or up to the limit
  std::string failure;   ///< empty if it exited with 0, else why it did not: one line
  int exit_status = -1;  ///< -1: it was killed
};

/// Runs `arguments` (the program first, looked for in PATH), and kills whatever it has left
/// running. Throws Error if it cannot be started, or, with the child killed, on interrupt.
ChildResult run_child(const std::vector<std::string>& arguments, const ChildOptions& options);

/// The last line of `text` that is not blank, where programs put their result; else empty.
std::string last_line(const std::string& text);

}  // namespace evo
