// How one value is shown by format.h: width, sign, digits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace evo::jinja {

inline constexpr size_t kWidestFormat = 1 << 20;  ///< characters

/// How a value is shown: what both notations say, in the order of "{:...}".
struct FormatStyle {
  std::string fill = " ";
  char align = 0;  // < > ^ =; 0: as the value's type has it
  char sign = '-';
  bool alternate = false;
  size_t width = 0;
  char grouping = 0;  // , or _
  std::optional<size_t> precision;
  char type = 0;
};

/// `text` in its width; `usual` is its alignment where the style names none.
[[nodiscard]] std::string aligned(std::string_view text, const FormatStyle& style, char usual);
/// The first characters, as many as the precision says.
[[nodiscard]] std::string cut(std::string text, const FormatStyle& style);
[[nodiscard]] std::string integer_text(int64_t value, const FormatStyle& style);
[[nodiscard]] std::string double_text(double value, const FormatStyle& style);

}  // namespace evo::jinja
