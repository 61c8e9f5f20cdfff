#include "cli/live_view.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "cli/program.h"

namespace evo {
namespace {

constexpr std::string_view kClearBehind = "\x1b[J";  // to the end of the screen
constexpr std::string_view kSaveCursor = "\x1b\x37", kRestoreCursor = "\x1b\x38";
// Down, which scrolls at the bottom of the screen, and up: then there is a line below.
constexpr std::string_view kMakeLineBelow = "\x1b\x44\x1b[A";

size_t terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool begins_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

bool is_control(char c) {
  return (c >= 0 && c < ' ') || c == 0x7F;
}

/// In the 6x6x6 colour cube of terminals.
int colour_of(double maturity) {
  const int green = static_cast<int>(std::clamp(maturity * 10, 0.0, 5.0));
  const int red = static_cast<int>(std::clamp((1 - maturity) * 10, 0.0, 5.0));
  return 16 + 36 * red + 6 * green;
}

}  // namespace

void LiveView::show(std::string_view text, std::span<const TraceToken> tokens,
                    std::string_view status) {
  fmt::print("{}", frame(text, tokens, status, terminal_width()));
  flush_output();
}

void LiveView::end(std::string_view text) {
  fmt::print("{}{}\n", kClearBehind, advance(text));
  column_ = 0;
}

std::string LiveView::frame(std::string_view text, std::span<const TraceToken> tokens,
                            std::string_view status, size_t width) {
  std::string result(kClearBehind);
  result += advance(text);
  if (!status.empty()) result += kMakeLineBelow;
  result += kSaveCursor;
  size_t room = width - 1 - std::min(column_ % width, width - 1);
  for (const TraceToken& token : tokens) {
    std::string piece;
    for (const char c : token.text) piece += is_control(c) ? '.' : c;
    const auto columns = static_cast<size_t>(std::ranges::count_if(piece, begins_character));
    if (columns > room) break;
    room -= columns;
    result += fmt::format("\x1b[38;5;{}m{}\x1b[0m", colour_of(token.maturity), piece);
  }
  if (!status.empty()) result += fmt::format("\r\n\x1b[2m{}\x1b[0m", status.substr(0, width - 1));
  result += kRestoreCursor;
  return result;
}

/// The text as it may be shown; moves the column. Every character counts as one column wide.
std::string LiveView::advance(std::string_view text) {
  constexpr size_t kTab = 8;
  std::string result;
  for (const char c : text) {
    const bool blank = c == '\n' || c == '\t';
    result += is_control(c) && !blank ? '.' : c;
    if (c == '\n') {
      column_ = 0;
    } else if (c == '\t') {
      column_ += kTab - column_ % kTab;
    } else if (begins_character(c)) {
      ++column_;
    }
  }
  return result;
}

}  // namespace evo
