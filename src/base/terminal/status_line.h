// The line at the end of standard error that is rewritten in place, if that is a live terminal.
#pragma once

#include <string>
#include <string_view>

namespace evo {

/// Shows a line, or what fits of it on the terminal, in the place of the one before. The cursor
/// rests at its beginning: there a terminal keeps it when its width changes, however the line then
/// wraps, so that all of it can be taken away.
void show_status_line(const std::string& line);

/// Takes the line away.
void clear_status_line();

/// Writes whole lines to standard error, above the status line if there is one.
void write_above_status_line(std::string_view lines);

}  // namespace evo
