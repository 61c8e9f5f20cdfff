// How much room a text takes on a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace evo {

/// One character of a text as a terminal may be given it.
struct TerminalCharacter {
  size_t bytes = 0;       ///< that it takes of the text; 0: the text has ended
  std::string shown;      ///< UTF-8 without commands to the terminal: '.' for control characters,
                          ///< U+FFFD for a byte that is no UTF-8
  int columns = 0;        ///< 2 if it is wide (East Asian, emoji), 0 if it joins the one before
  bool disputed = false;  ///< terminals do not agree about `columns` (joined emoji, flags, ...)
};

/// The first character of `text`.
[[nodiscard]] TerminalCharacter first_character(std::string_view text);

/// `text` as a terminal may be given it, see TerminalCharacter::shown. Line ends and tabs are
/// control characters too.
[[nodiscard]] std::string printable(std::string_view text);

/// Columns of printable(text).
[[nodiscard]] size_t text_columns(std::string_view text);

/// The beginning of printable(text) that fits into so many columns: whole characters, with what
/// joins them.
[[nodiscard]] std::string fitting(std::string_view text, size_t columns);

}  // namespace evo
