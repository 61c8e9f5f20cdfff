// Ctrl-C and SIGTERM as a flag, which the program's watcher (base/process/watcher.h) looks at.
#pragma once

#include <csignal>
#include <string>

namespace evo {

/// Calls `handler` whenever `signal` comes; what was done before. System calls then go on, since a
/// line that waits for a slow terminal is no error, and nobody could tell how much of it is out:
/// who waits for input and has to hear of the signal waits with poll(), which does not go on.
struct sigaction catch_signal(int signal, void (*handler)(int));

/// Installs handlers for SIGINT, SIGTERM and SIGHUP. The first signal sets the flag and says on
/// standard error that the program is stopping, at once, whatever it is doing; a second one removes
/// what is being written (remove_if_ended()) and ends the process (exit code 130).
void catch_interrupts();

/// True once a signal has come.
bool signalled();

/// A file under a temporary name: from now on a second signal removes it, and with_folder also the
/// folder that it is in, if nothing else is there.
void remove_if_ended(const std::string& file, bool with_folder = false);
/// No longer: it is complete, or gone.
void keep_if_ended(const std::string& file);

}  // namespace evo
