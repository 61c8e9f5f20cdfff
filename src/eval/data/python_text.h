// Python's operations on texts, which the formats of lm-evaluation-harness are defined by. Texts
// are UTF-8; bytes that are not count as characters that are no space.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace evo::eval {

/// `text.strip()`: without white space, in Unicode's sense, at both ends.
[[nodiscard]] std::string_view strip(std::string_view text);
/// `text.rstrip()`.
[[nodiscard]] std::string_view strip_end(std::string_view text);
/// `len(text)`: characters, not bytes.
[[nodiscard]] int64_t character_count(std::string_view text);
/// `text.capitalize()`: the first character in upper case, all others in lower case.
[[nodiscard]] std::string capitalized(std::string_view text);
/// `text.replace(from, to)`; `from` is not empty.
[[nodiscard]] std::string replaced(std::string_view text, std::string_view from,
                                   std::string_view to);
/// The lines of a text, without their ends ("\n" or "\r\n"); a newline at the end begins no line.
[[nodiscard]] std::vector<std::string_view> lines_of(std::string_view text);

}  // namespace evo::eval
