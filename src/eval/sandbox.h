// Programs that nobody has read, such as what a model wrote, are run here and nowhere else.
#pragma once

#include <cstdint>
#include <string>

namespace evo::eval {

struct SandboxLimits {
  double wall_seconds = 10;
  int64_t cpu_seconds = 5;                   ///< of each process
  int64_t memory_bytes = int64_t{1} << 30;   ///< address space of each process
  int64_t file_bytes = int64_t{16} << 20;    ///< of all that is written to its own file system
  int64_t processes = 16;                    ///< and threads; binds on Linux 5.14 or later
  int64_t output_bytes = int64_t{64} << 10;  ///< kept of what it prints; printing more ends it
};

struct SandboxResult {
  bool passed = false;  ///< reached its last line, within all limits
  std::string failure;  ///< why not: "exit status 1: AssertionError", "took more than 10 s", ...
  std::string output;   ///< standard output and error, as they came
};

/// True if this machine can isolate programs; else `why` says what is missing and what to do.
[[nodiscard]] bool sandbox_available(std::string& why);

/// Runs a Python program as `exec(program, {})` in an interpreter of its own, isolated: no network,
/// no files but the interpreter's (read-only) and an empty folder of its own, no sight of other
/// processes; with its end everything that it has started ends. One that exits before its last
/// line, with whatever status, has not passed. Throws Error if the sandbox itself cannot be set up.
[[nodiscard]] SandboxResult run_python(const std::string& program,
                                       const SandboxLimits& limits = {});

}  // namespace evo::eval
