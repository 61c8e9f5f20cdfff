// Texts of files in a report: nothing in them can be more than text.
#pragma once

#include <string>
#include <string_view>

namespace evo::eval {

/// One line of valid UTF-8: other bytes become U+FFFD, control characters blanks.
[[nodiscard]] std::string one_line(std::string_view text);
/// one_line() for HTML and SVG: markup escaped.
[[nodiscard]] std::string html_text(std::string_view text);
/// one_line() for Markdown, in tables too: what could be markup escaped, HTML included.
[[nodiscard]] std::string markdown_text(std::string_view text);

}  // namespace evo::eval
