#include "template/format_style.h"

#include <cmath>

#include "template/budget.h"
#include "template/text.h"

namespace evo::jinja {
namespace {

std::string with_sign(bool negative, std::string digits, const FormatStyle& style) {
  if (negative) return "-" + digits;
  return style.sign == '-' ? digits : std::string(1, style.sign) + digits;
}

/// 1,234,567.8: separators between groups of the digits before the point.
std::string grouped(std::string digits, const FormatStyle& style) {
  if (!style.grouping) return digits;
  size_t end = digits.find_first_not_of("0123456789");
  if (end == std::string::npos) end = digits.size();
  for (; end > 3; end -= 3) digits.insert(end - 3, 1, style.grouping);
  return digits;
}

std::string float_digits(double size, const FormatStyle& style) {
  if (std::isnan(size)) return "nan";
  if (std::isinf(size)) return "inf";
  const auto precision = static_cast<int>(style.precision.value_or(6));
  switch (style.type) {
    case 'e':
      return fmt::format("{:.{}e}", size, precision);
    case 'E':
      return fmt::format("{:.{}E}", size, precision);
    case 'f':
    case 'F':
      return fmt::format("{:.{}f}", size, precision);
    case '%':
      return fmt::format("{:.{}f}%", size * 100, precision);
    case 'g':
      return fmt::format("{:.{}g}", size, precision);
    case 'G':
      return fmt::format("{:.{}G}", size, precision);
    default:  // none: repr(), or g with a digit behind the point
      if (!style.precision) return float_text(size);
      std::string text = fmt::format("{:.{}g}", size, precision);
      if (text.find_first_of(".e") == std::string::npos) text += ".0";
      return text;
  }
}

}  // namespace

std::string aligned(std::string_view text, const FormatStyle& style, char usual) {
  const size_t size = count_characters(text);
  const size_t room = style.width > size ? style.width - size : 0;
  const char align = style.align ? style.align : usual;
  const size_t left = align == '<' ? 0 : align == '^' ? room / 2 : room;
  // What stands for a sign, or marks the base, stays before the padding.
  size_t head = 0;
  if (align == '=') {
    head = text.find_first_not_of("+- ");
    if (text.substr(head).starts_with("0x") || text.substr(head).starts_with("0X")) head += 2;
  }
  std::string result(text.substr(0, head));
  for (size_t i = 0; i < left; ++i) result += style.fill;
  result += text.substr(head);
  for (size_t i = left; i < room; ++i) result += style.fill;
  return result;
}

std::string integer_text(int64_t value, const FormatStyle& style) {
  const uint64_t size = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits;
  switch (style.type) {
    case 'x':
      digits = fmt::format("{:x}", size);
      break;
    case 'X':
      digits = fmt::format("{:X}", size);
      break;
    case 'o':
      digits = fmt::format("{:o}", size);
      break;
    case 'b':
      digits = fmt::format("{:b}", size);
      break;
    default:
      digits = grouped(fmt::format("{}", size), style);
  }
  if (style.precision && digits.size() < *style.precision) {
    digits.insert(0, *style.precision - digits.size(), '0');
  }
  if (style.alternate && std::string_view("xXob").find(style.type) != std::string_view::npos) {
    digits.insert(0, std::string("0") + style.type);
  }
  return aligned(with_sign(value < 0, std::move(digits), style), style, '>');
}

std::string double_text(double value, const FormatStyle& style) {
  if (style.alternate) fault("the flag # is not supported for numbers with a fraction");
  std::string digits = grouped(float_digits(std::abs(value), style), style);
  return aligned(with_sign(std::signbit(value) && !std::isnan(value), std::move(digits), style),
                 style, '>');
}

std::string cut(std::string text, const FormatStyle& style) {
  if (!style.precision) return text;
  std::string result;
  size_t left = *style.precision;
  for (const std::string_view one : characters(text)) {
    if (left-- == 0) break;
    result += one;
  }
  return result;
}

}  // namespace evo::jinja
