// Ctrl-C and SIGTERM as a flag that long loops look at, so that they can finish cleanly.
#pragma once

namespace evo {

/// Installs handlers for SIGINT and SIGTERM that set the flag; a second signal ends the process
/// at once (exit code 130).
void catch_interrupts();

/// True once a signal has come.
bool interrupted();

}  // namespace evo
