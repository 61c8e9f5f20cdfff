// Strings as Python's: characters instead of bytes, its white space, its lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace evo::jinja {

/// What a text that is not empty begins with.
[[nodiscard]] std::string_view first_character(std::string_view text);

/// The characters of a text; a byte that is not UTF-8 is one.
[[nodiscard]] std::vector<std::string_view> characters(std::string_view text);
[[nodiscard]] size_t count_characters(std::string_view text);

/// What str.isspace() and strip() mean by white space.
[[nodiscard]] bool is_space(std::string_view character);

enum class Side { kLeft, kRight, kBoth };
/// Without white space at the sides.
[[nodiscard]] std::string_view strip(std::string_view text, Side side = Side::kBoth);
/// Without the characters of `set` at the sides.
[[nodiscard]] std::string_view strip(std::string_view text, Side side, std::string_view set);

/// str.splitlines(); `keep_ends`: with what ends each of them.
[[nodiscard]] std::vector<std::string_view> split_lines(std::string_view text,
                                                        bool keep_ends = false);

/// Place of `part` in `text` from `from` on, or npos; in linear time, whatever the texts.
[[nodiscard]] size_t find_text(std::string_view text, std::string_view part, size_t from = 0);
[[nodiscard]] size_t count_text(std::string_view text, std::string_view part);

/// Python's repr() of a float, which is also its str().
[[nodiscard]] std::string float_text(double value);

}  // namespace evo::jinja
