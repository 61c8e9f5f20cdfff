#include "cli/generate/live_view.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/terminal/terminal.h"
#include "base/terminal/text_width.h"
#include "cli/program.h"

namespace evo::cli {
namespace {

constexpr std::string_view kSaveCursor = "\x1b\x37", kRestoreCursor = "\x1b\x38";
// Down, which scrolls at the bottom of the screen, and up: then there is a line below.
constexpr std::string_view kMakeLineBelow = "\x1b\x44\x1b[A";
constexpr std::string_view kDim = "2";
// On narrower terminals one character may fill a line.
constexpr size_t kLeastWidth = 3;

/// In the 6x6x6 colour cube of terminals.
std::string colour_of(double maturity) {
  const int green = static_cast<int>(std::clamp(maturity * 10, 0.0, 5.0));
  const int red = static_cast<int>(std::clamp((1 - maturity) * 10, 0.0, 5.0));
  return fmt::format("38;5;{}", 16 + 36 * red + 6 * green);
}

/// Columns of a token if it can stand by itself and all terminals agree about them, else npos.
size_t token_columns(std::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    const TerminalCharacter character = first_character(text);
    const bool joins_what_is_before = columns == 0 && character.columns == 0;
    if (character.disputed || joins_what_is_before) return std::string::npos;
    columns += static_cast<size_t>(character.columns);
    text.remove_prefix(character.bytes);
  }
  return columns;
}

/// Follows the cursor of a terminal along a text.
class Cursor {
 public:
  Cursor(size_t column, size_t width, bool located)
      : column_(column), width_(width), located_(located) {}

  /// The next character of `rest`, taken from there, as it is to be shown.
  std::string take(std::string_view& rest) {
    if (rest.starts_with("\r\n")) rest.remove_prefix(1);
    if (rest[0] == '\n') return line_end(rest);
    if (rest[0] == '\t') return tab(rest);
    TerminalCharacter character = first_character(rest);
    rest.remove_prefix(character.bytes);
    located_ = located_ && !character.disputed;
    move(static_cast<size_t>(character.columns));
    return std::move(character.shown);
  }

  /// The last character stands in the last column: the next one begins another line.
  [[nodiscard]] bool at_edge() const { return located_ && column_ == width_; }
  [[nodiscard]] bool located() const { return located_; }
  [[nodiscard]] size_t column() const { return column_; }
  /// The last character joined the one before it.
  [[nodiscard]] bool joined() const { return joined_; }

 private:
  void move(size_t columns) {
    joined_ = columns == 0;
    if (joined_) return;
    if (column_ + columns > width_) column_ = 0;  // there is no room: on the next line
    column_ = std::min(column_ + columns, width_);
  }

  std::string line_end(std::string_view& rest) {
    rest.remove_prefix(1);
    column_ = 0;
    located_ = true;
    joined_ = false;
    return "\n";
  }

  /// As blanks, at least one; near the edge a tab stops there.
  std::string tab(std::string_view& rest) {
    constexpr size_t kTab = 8;
    rest.remove_prefix(1);
    const size_t from = column_ == width_ ? 0 : column_;
    const size_t to_edge = width_ - std::min(from + 1, width_);
    const size_t count = std::max<size_t>(1, std::min(kTab - from % kTab, to_edge));
    for (size_t i = 0; i < count; ++i) move(1);
    return std::string(count, ' ');
  }

  size_t column_, width_;
  bool located_, joined_ = false;
};

}  // namespace

LiveView::LiveView() : LiveView(is_live_terminal(STDOUT_FILENO), use_color(STDOUT_FILENO)) {}

void LiveView::show(std::string_view text, std::span<const decode::TraceToken> tokens,
                    std::string_view status) {
  fmt::print("{}", frame(text, tokens, status, terminal_columns(STDOUT_FILENO)));
  flush_output();
}

void LiveView::end(std::string_view text) {
  fmt::print("{}", last_frame(text, terminal_columns(STDOUT_FILENO)));
}

std::string LiveView::frame(std::string_view text, std::span<const decode::TraceToken> tokens,
                            std::string_view status, size_t width) {
  std::string result = take_away(width);
  result += advance(text, true);
  const std::string shown = tokens_that_fit(tokens);
  if (!located_ || (shown.empty() && status.empty())) return result;
  behind_ = true;
  if (!status.empty()) result += kMakeLineBelow;
  result += kSaveCursor;
  result += shown;
  if (!status.empty()) result += "\r\n" + painted(kDim, fitting(status, width - 1));
  result += kRestoreCursor;
  return result;
}

std::string LiveView::last_frame(std::string_view text, size_t width) {
  std::string result = take_away(width);
  result += advance(text, false) + "\n";
  *this = LiveView(live_, color_);
  return result;
}

std::string LiveView::take_away(size_t width) {
  const bool resized = width_ != 0 && width != width_;
  width_ = width;
  std::string result;
  if (live_ && behind_) result = kClearBehind;
  behind_ = false;
  if (width < kLeastWidth || (resized && column_ + waiting_.size() > 0)) located_ = false;
  return result;
}

/// The text as it may be shown; moves the column.
std::string LiveView::advance(std::string_view text, bool more_follows) {
  std::string all = std::exchange(waiting_, "") + std::string(text);
  std::string half_line_end;  // what would follow decides about it
  if (more_follows && all.ends_with('\r')) {
    half_line_end = "\r";
    all.pop_back();
  }
  Cursor cursor(column_, width_, located_);
  std::string result;
  // Where the last character begins: in `all`, in `result` and on the line.
  size_t last = 0, last_shown = 0, last_column = column_;
  for (std::string_view rest = all; !rest.empty();) {
    const size_t begin = all.size() - rest.size(), begin_shown = result.size();
    const size_t begin_column = cursor.column();
    result += cursor.take(rest);
    if (cursor.joined()) continue;
    last = begin;
    last_shown = begin_shown;
    last_column = begin_column;
  }
  column_ = cursor.column();
  located_ = live_ && width_ >= kLeastWidth && cursor.located();
  if (located_ && more_follows && cursor.at_edge()) {
    waiting_ = all.substr(last);
    result.resize(last_shown);
    column_ = last_column;
  }
  waiting_ += half_line_end;
  return result;
}

std::string LiveView::tokens_that_fit(std::span<const decode::TraceToken> tokens) const {
  std::string result;
  if (!located_ || !waiting_.empty()) return result;
  size_t room = width_ - 1 - column_;
  for (const decode::TraceToken& token : tokens) {
    const std::string piece = printable(token.text);
    const size_t columns = token_columns(piece);
    if (columns > room) break;
    room -= columns;
    if (!piece.empty()) result += painted(colour_of(token.maturity), piece);
  }
  return result;
}

std::string LiveView::painted(std::string_view style, const std::string& text) const {
  return color_ ? fmt::format("\x1b[{}m{}\x1b[0m", style, text) : text;
}

}  // namespace evo::cli
