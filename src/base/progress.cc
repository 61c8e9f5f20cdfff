#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace evo {
namespace {

std::string scaled(double value, const char* const* units, int count, double step) {
  int unit = 0;
  while (unit + 1 < count && std::abs(value) >= step - 0.05) {  // which would print as the step
    value /= step;
    ++unit;
  }
  if (unit == 0) return fmt::format("{:.0f}{}", value, units[0]);
  return fmt::format("{:.{}f}{}", value, value < 9.995 ? 2 : 1, units[unit]);
}

}  // namespace

Progress::Progress(std::string label, double total, std::string unit, bool quiet, double begin)
    : state_{.label = std::move(label), .unit = std::move(unit), .total = total, .begin = begin},
      quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() {
  finish();
}

void Progress::update(double done, const std::string& note) {
  if (quiet_) return;
  const auto now = Clock::now();
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double since = std::chrono::duration<double>(now - last_).count();
  if (elapsed < 2 || since < (terminal_ ? 0.2 : 10)) return;
  last_ = now;
  state_.done = done;
  const std::string line = progress_line(state_, elapsed, note);
  if (terminal_) {
    fmt::print(stderr, "\r{}\x1b[K", line);
  } else {
    fmt::print(stderr, "{}\n", line);
  }
  std::fflush(stderr);
  shown_ = true;
}

void Progress::finish() {
  if (shown_ && terminal_) fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  shown_ = false;
}

std::string progress_line(const ProgressState& state, double elapsed, const std::string& note) {
  const double rate = (state.done - state.begin) / elapsed;
  const double left = rate > 0 ? (state.total - state.done) / rate : 0;
  const double percent = state.total > 0 ? 100 * state.done / state.total : 0;
  // A run by the clock does a second per second.
  const std::string speed = state.unit == "s" ? "" : fmt::format("{:.3g} {}/s  ", rate, state.unit);
  return fmt::format("{}  {:3.0f}%  {}{} left  {}", state.label, percent, speed,
                     format_duration(left), note);
}

std::string format_duration(double seconds) {
  const auto total = static_cast<int64_t>(std::llround(std::fmax(0, std::fmin(seconds, 1e9))));
  if (total < 3600) return fmt::format("{}:{:02}", total / 60, total % 60);
  return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

std::string format_bytes(double bytes) {
  static const char* const kUnits[] = {" B", " KB", " MB", " GB", " TB"};
  return scaled(bytes, kUnits, 5, 1024);
}

std::string format_count(double count) {
  static const char* const kUnits[] = {"", "K", "M", "B", "T"};
  return scaled(count, kUnits, 5, 1000);
}

}  // namespace evo
