#include "base/process/interrupt.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <string_view>

namespace evo {
namespace {

volatile std::sig_atomic_t signals_seen = 0;
volatile std::sig_atomic_t on_terminal = 0;

/// What a signal handler can read at any time: no memory is taken, and a place is read only while
/// it is kSet.
struct Place {
  enum State { kFree, kInUse, kSet };
  std::atomic<int> state = kFree;
  std::array<char, PATH_MAX> file{}, folder{};
};
// More files at a time than any command writes; of more, those are not removed.
std::array<Place, 16> places;

void remove_unfinished() {
  for (Place& place : places) {
    if (place.state != Place::kSet) continue;
    unlink(place.file.data());
    if (place.folder[0] != '\0') rmdir(place.folder.data());
  }
}

void say(std::string_view text) {
  (void)!write(STDERR_FILENO, text.data(), text.size());
}

// Only what POSIX allows in a handler.
extern "C" void on_signal(int) {
  if (signals_seen) {
    remove_unfinished();
    _exit(130);
  }
  signals_seen = 1;
  const int before = errno;
  if (on_terminal) say("\n");  // behind a progress line, or the ^C
  say("evo: stopping; a second signal ends it at once\n");
  errno = before;
}

}  // namespace

struct sigaction catch_signal(int signal, void (*handler)(int)) {
  struct sigaction action = {}, before = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, &before);
  return before;
}

void catch_interrupts() {
  on_terminal = isatty(STDERR_FILENO);
  catch_signal(SIGINT, on_signal);
  catch_signal(SIGTERM, on_signal);
  catch_signal(SIGHUP, on_signal);  // a terminal that was lost
}

bool signalled() {
  return signals_seen != 0;
}

void remove_if_ended(const std::string& file, bool with_folder) {
  const size_t slash = file.rfind('/');
  const std::string folder =
      with_folder && slash != std::string::npos ? file.substr(0, slash) : std::string();
  if (file.size() >= PATH_MAX) return;
  for (Place& place : places) {
    int expected = Place::kFree;
    if (!place.state.compare_exchange_strong(expected, Place::kInUse)) continue;
    std::memcpy(place.file.data(), file.c_str(), file.size() + 1);
    std::memcpy(place.folder.data(), folder.c_str(), folder.size() + 1);
    place.state = Place::kSet;
    return;
  }
}

void keep_if_ended(const std::string& file) {
  for (Place& place : places) {
    if (place.state == Place::kSet && file == place.file.data()) place.state = Place::kFree;
  }
}

}  // namespace evo
