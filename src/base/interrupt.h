// Ctrl-C and SIGTERM as a flag that long loops look at, so that they can finish cleanly.
#pragma once

#include "base/error.h"

namespace evo {

/// Work that a signal ended before its end: the program exits with 130, as shells have it. The
/// message says what is left of it, and how to go on.
class Interrupted : public Error {
 public:
  using Error::Error;
};

/// Throws Interrupted with a formatted message.
template <class... Args>
[[noreturn]] void fail_interrupted(fmt::format_string<Args...> format, Args&&... args) {
  throw Interrupted(fmt::format(format, std::forward<Args>(args)...));
}

/// Installs handlers for SIGINT and SIGTERM that set the flag; a second signal ends the process
/// at once (exit code 130).
void catch_interrupts();

/// True once a signal has come.
bool interrupted();

}  // namespace evo
