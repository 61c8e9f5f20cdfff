#include "base/terminal/status_line.h"

#include <unistd.h>

#include <cstdio>
#include <mutex>

#include "base/terminal/terminal.h"
#include "base/terminal/text_width.h"

namespace evo {
namespace {

std::mutex mutex;
std::string shown;  // now, if not empty

// All of a change at once, since the terminal may be resized in between. Not fmt::print: it throws
// where standard error is closed.
void write(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

/// The line, with the cursor at its beginning.
std::string drawn() {
  const auto columns = terminal_columns(STDERR_FILENO) - 1;  // in the last one it might wrap
  return fitting(shown, columns) + kClearBehind + "\r";
}

}  // namespace

void show_status_line(const std::string& line) {
  const std::lock_guard lock(mutex);
  shown = line;
  write(drawn());
}

void clear_status_line() {
  const std::lock_guard lock(mutex);
  if (shown.empty()) return;
  shown.clear();
  write(drawn());
}

void write_above_status_line(std::string_view lines) {
  const std::lock_guard lock(mutex);
  const std::string text(lines);
  write(shown.empty() ? text : kClearBehind + text + drawn());
}

}  // namespace evo
