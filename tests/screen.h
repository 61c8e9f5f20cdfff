// A small model of a terminal's screen: what a person would see of a program's output.
#pragma once

#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <cwchar>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace evo::testing {

/// Understands what evo and libedit write: text in UTF-8, wide and combining characters (by the C
/// library's tables, which are not the program's), lines that wrap once there is a character too
/// many, and the usual commands. Lines that scroll away are kept.
class Screen {
 public:
  Screen(size_t width, size_t height) : width_(width), height_(height) {
    std::setlocale(LC_CTYPE, "C.UTF-8");
    rows_.resize(1);
    rows_[0].cells.resize(width_, " ");
  }

  /// What comes from a terminal's driver.
  void write(std::string_view bytes) {
    for (const char c : bytes) take(c);
  }
  /// What a program writes: the driver makes CR LF of a line end.
  void print(std::string_view bytes) {
    for (const char c : bytes) {
      if (c == '\n') take('\r');
      take(c);
    }
  }

  /// Rows, also of what has scrolled away, without blanks at their ends.
  [[nodiscard]] std::vector<std::string> rows() const {
    std::vector<std::string> result;
    for (const Row& row : rows_) result.push_back(trimmed(text_of(row)));
    while (!result.empty() && result.back().empty()) result.pop_back();
    return result;
  }
  /// All rows; those that a line was wrapped into are one again.
  [[nodiscard]] std::string text() const {
    std::string result, line;
    for (size_t i = 0; i < rows_.size(); ++i) {
      line += text_of(rows_[i]);
      const bool goes_on = i + 1 < rows_.size() && rows_[i + 1].continues;
      if (goes_on) continue;
      result += trimmed(line) + "\n";
      line.clear();
    }
    while (result.ends_with("\n\n")) result.pop_back();
    return result;
  }
  [[nodiscard]] bool shows(std::string_view text) const {
    return this->text().find(text) != std::string::npos;
  }
  /// How often a line had to be wrapped.
  [[nodiscard]] size_t wraps() const { return wraps_; }
  [[nodiscard]] size_t column() const { return column_; }
  [[nodiscard]] size_t width() const { return width_; }
  [[nodiscard]] bool pastes_are_marked() const { return pastes_are_marked_; }
  [[nodiscard]] size_t colors() const { return colors_; }  ///< commands that set a style

  /// As xterm does it: what is too much is cut off. Or as most others do: lines are wrapped anew,
  /// and the cursor stays at its character, or behind it.
  void resize(size_t width, bool reflow) {
    if (pending_) ++column_;
    if (reflow) {
      wrap_anew(width);
    } else {
      for (Row& row : rows_) row.cells.resize(width, " ");
      column_ = std::min(column_, width - 1);
    }
    width_ = width;
    pending_ = false;
  }

 private:
  struct Row {
    std::vector<std::string> cells;  // "": the second half of a wide character
    bool continues = false;          // the row above
  };

  static std::string trimmed(std::string text) {
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
  }
  static std::string text_of(const Row& row) {
    std::string result;
    for (const std::string& cell : row.cells) result += cell;
    return result;
  }

  void wrap_anew(size_t width) {
    std::vector<Row> old = std::exchange(rows_, {});
    const size_t cursor_row = row_, cursor_column = column_;
    for (size_t i = 0; i < old.size(); ++i) {
      if (!old[i].continues || rows_.empty()) add_row(width, false);
      size_t used = old[i].cells.size();
      const bool goes_on = i + 1 < old.size() && old[i + 1].continues;
      while (!goes_on && used > 0 && old[i].cells[used - 1] == " ") --used;
      if (i == cursor_row) used = std::max(used, cursor_column + 1);
      size_t fill = old[i].continues ? fill_ : 0;
      for (size_t c = 0; c < used; ++c) {
        if (fill == width) {
          add_row(width, true);
          fill = 0;
        }
        if (i == cursor_row && c == cursor_column) {
          row_ = rows_.size() - 1;
          column_ = fill;
        }
        rows_.back().cells[fill++] = c < old[i].cells.size() ? old[i].cells[c] : " ";
      }
      fill_ = fill;
    }
  }

  void add_row(size_t width, bool continues) {
    rows_.push_back({std::vector<std::string>(width, " "), continues});
  }

  void take(char c) {
    if (!escape_.empty()) return take_escape(c);
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) return take_utf8(c);
    switch (c) {
      case '\x1b':
        escape_ = "\x1b";
        return;
      case '\n':
        return line_feed(false);
      case '\r':
        return to_column(0);
      case '\b':
        return to_column(column_ > 0 ? column_ - 1 : 0);
      case '\t':
        return to_column(std::min(column_ + 8 - column_ % 8, width_ - 1));
      default:
        if (c >= ' ' && c != 0x7F) put(std::string(1, c), 1);
    }
  }

  void take_utf8(char c) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) character_.clear();
    character_ += c;
    wchar_t code = 0;
    std::mbstate_t state{};
    const size_t used = std::mbrtowc(&code, character_.data(), character_.size(), &state);
    if (used == static_cast<size_t>(-2)) return;  // not all of it yet
    if (used == static_cast<size_t>(-1)) return put("?", 1);
    put(character_, ::wcwidth(code));
    character_.clear();
  }

  void put(const std::string& character, int width) {
    if (width <= 0) {
      return join(character);
    }
    const auto columns = static_cast<size_t>(width);
    if (pending_ || column_ + columns > width_) {
      ++wraps_;
      if (!pending_) rows_[row_].cells[column_].clear();  // half a character has no room
      line_feed(true);
      column_ = 0;
    }
    rows_[row_].cells[column_] = character;
    if (columns == 2) rows_[row_].cells[column_ + 1].clear();
    pending_ = column_ + columns == width_;
    column_ = std::min(column_ + columns, width_ - 1);
  }

  /// Adds a combining character to the one before the cursor.
  void join(const std::string& character) {
    const bool above = column_ == 0 && rows_[row_].continues;
    std::vector<std::string>& cells = rows_[above ? row_ - 1 : row_].cells;
    size_t at = above ? width_ - 1 : pending_ ? column_ : column_ > 0 ? column_ - 1 : 0;
    while (at > 0 && cells[at].empty()) --at;
    cells[at] += character;
  }

  void to_column(size_t column) {
    column_ = std::min(column, width_ - 1);
    pending_ = false;
  }

  /// The terminal's driver adds the return to the first column; see Terminal.
  void line_feed(bool wrapped) {
    pending_ = false;
    ++row_;
    if (row_ == rows_.size()) add_row(width_, wrapped);
    rows_[row_].continues = wrapped;
  }

  void take_escape(char c) {
    escape_ += c;
    if (escape_.size() == 2) {
      if (c == '[' || c == '(') return;
      if (c == '7') saved_ = {row_, column_};
      if (c == '8') std::tie(row_, column_) = saved_, pending_ = false;
      if (c == 'D') line_feed(false);
      return escape_.clear();
    }
    if (escape_[1] == '(') return escape_.clear();
    if (c < '@') return;
    command(c, escape_.substr(2, escape_.size() - 3));
    escape_.clear();
  }

  void command(char c, const std::string& arguments) {
    const int given = std::atoi(arguments.c_str());
    const auto count = static_cast<size_t>(std::max(given, 1));
    std::vector<std::string>& cells = rows_[row_].cells;
    switch (c) {
      case 'm':
        if (!arguments.empty() && arguments != "0") ++colors_;
        return;
      case 'J':
        if (given == 2) return erase(first_visible(), 0);
        return erase(row_, column_);
      case 'K':
        return erase_row(row_, column_);
      case 'A':
        row_ -= std::min(count, row_ - first_visible());
        pending_ = false;
        return;
      case 'B':
        row_ = std::min(row_ + count, rows_.size() - 1);
        return;
      case 'C':
        return to_column(column_ + count);
      case 'D':
        return to_column(column_ - std::min(column_, count));
      case 'G':
        return to_column(count - 1);
      case 'H':
        row_ = first_visible();
        return to_column(0);
      case 'P':
        for (size_t i = 0; i < count && column_ < cells.size(); ++i) {
          cells.erase(cells.begin() + static_cast<std::ptrdiff_t>(column_));
          cells.emplace_back(" ");
        }
        return;
      case '@':
        for (size_t i = 0; i < count; ++i) {
          cells.insert(cells.begin() + static_cast<std::ptrdiff_t>(column_), " ");
          cells.pop_back();
        }
        return;
      case 'h':
      case 'l':
        if (arguments == "?2004") pastes_are_marked_ = c == 'h';
        return;
      default:
        return;
    }
  }

  [[nodiscard]] size_t first_visible() const {
    return rows_.size() > height_ ? rows_.size() - height_ : 0;
  }

  void erase(size_t row, size_t column) {
    erase_row(row, column);
    for (size_t i = row + 1; i < rows_.size(); ++i) {
      erase_row(i, 0);
      rows_[i].continues = false;
    }
  }
  void erase_row(size_t row, size_t column) {
    std::fill(rows_[row].cells.begin() + static_cast<std::ptrdiff_t>(column),
              rows_[row].cells.end(), " ");
  }

  size_t width_, height_;
  std::vector<Row> rows_;
  size_t row_ = 0, column_ = 0;
  size_t fill_ = 0;
  std::pair<size_t, size_t> saved_;
  bool pending_ = false;  // the last column is full: the next character wraps
  bool pastes_are_marked_ = false;
  size_t wraps_ = 0, colors_ = 0;
  std::string escape_, character_;
};

}  // namespace evo::testing
