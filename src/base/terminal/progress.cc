#include "base/terminal/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <utility>
#include <vector>

#include "base/terminal/status_line.h"
#include "base/terminal/terminal.h"
#include "base/terminal/text_width.h"

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

/// `text` before its last part, where parts are divided by two blanks.
std::string_view without_last_part(std::string_view text) {
  const size_t end = text.rfind("  ");
  return end == std::string_view::npos ? "" : text.substr(0, end);
}

}  // namespace

TerminalProgress::TerminalProgress(ProgressState begin)
    : state_(std::move(begin)),
      live_(is_live_terminal(STDERR_FILENO)),
      start_(Clock::now()),
      last_(start_) {}

TerminalProgress::~TerminalProgress() {
  if (shown_) clear_status_line();
}

void TerminalProgress::update(double done, const std::string& note) {
  const auto now = Clock::now();
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double since = std::chrono::duration<double>(now - last_).count();
  if (elapsed < 2 || since < (live_ ? 0.2 : 10)) return;
  last_ = now;
  state_.done = done;
  if (live_) {
    show_status_line(progress_line(state_, elapsed, note, terminal_columns(STDERR_FILENO) - 1));
    shown_ = true;
  } else {
    write_above_status_line(progress_line(state_, elapsed, note) + "\n");
  }
}

std::string progress_line(const ProgressState& state, double elapsed, std::string_view note,
                          size_t columns) {
  const double rate = (state.done - state.begin) / elapsed;
  const double percent = state.total > 0 ? 100 * state.done / state.total : 0;
  const std::string label = printable(state.label), share = fmt::format("{:5.0f}%", percent);
  // A run by the clock does a second per second.
  const std::string speed =
      state.unit == "s" ? "" : fmt::format("  {:.3g} {}/s", rate, printable(state.unit));
  const std::string left =
      rate > 0 ? fmt::format("  {} left", format_duration((state.total - state.done) / rate)) : "";
  std::vector<std::string> choices;  // the longest first
  for (std::string_view kept = note; !kept.empty(); kept = without_last_part(kept)) {
    choices.push_back(label + share + speed + left + "  " + printable(kept));
  }
  choices.insert(choices.end(), {label + share + speed + left, label + share + left});
  for (const std::string& choice : choices) {
    if (text_columns(choice) <= columns) return choice;
  }
  if (columns <= share.size()) return fitting(fmt::format("{:.0f}%", percent), columns);
  return fitting(label, columns - share.size()) + share;
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
