#include "base/status_line.h"

#include <unistd.h>

#include <cstdio>
#include <mutex>

#include "base/terminal.h"
#include "base/text_width.h"

namespace evo {
namespace {

constexpr const char* kClearBehind = "\x1b[J";  // to the end of the screen

std::mutex mutex;
std::string shown;  // now, if not empty

// Not fmt::print: it throws where standard error is closed.
void write(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void draw() {
  write(fitting(shown, terminal_columns(STDERR_FILENO) - 1));  // in the last column it might wrap
  write(kClearBehind);
  write("\r");
}

}  // namespace

void show_status_line(const std::string& line) {
  const std::lock_guard lock(mutex);
  shown = line;
  draw();
  std::fflush(stderr);
}

void clear_status_line() {
  const std::lock_guard lock(mutex);
  if (shown.empty()) return;
  shown.clear();
  draw();
  std::fflush(stderr);
}

void write_above_status_line(std::string_view lines) {
  const std::lock_guard lock(mutex);
  if (!shown.empty()) write(kClearBehind);
  write(lines);
  if (!shown.empty()) draw();
  std::fflush(stderr);
}

}  // namespace evo
