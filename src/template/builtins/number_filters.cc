// Filters whose result is a number.
#include <charconv>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "base/ascii.h"
#include "template/builtins/builtins.h"
#include "template/operators.h"
#include "template/text.h"

namespace evo::jinja {
namespace {

/// The number that a text holds, all of it; nothing if it holds another thing.
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  text = strip(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return {};
  return number;
}

[[noreturn]] void fail_overflow() {
  fault("a whole number does not fit into 64 bits");
}

std::optional<int64_t> truncated(double number) {
  if (!std::isfinite(number)) return {};
  if (!(std::abs(number) < 0x1p63)) fail_overflow();
  return static_cast<int64_t>(number);
}

/// int(text, base): with a prefix that names the base, and _ between digits.
std::optional<int64_t> parse_whole(std::string_view text, int64_t base) {
  if (base != 0 && (base < 2 || base > 36)) fault("int: expected a base from 2 to 36");
  std::string digits;
  for (const char c : strip(text)) {
    if (c != '_') digits += c;
  }
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.erase(0, 1);
  for (const auto& [mark, of] : {std::pair('x', 16), {'o', 8}, {'b', 2}}) {
    const bool marked = digits.size() > 2 && digits[0] == '0' && lower_case(digits[1]) == mark;
    if (!marked || (base != 0 && base != of)) continue;
    digits.erase(0, 2);
    base = of;
  }
  if (digits.starts_with('-')) return {};
  if (negative) digits.insert(digits.begin(), '-');
  int64_t number = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] =
      std::from_chars(digits.data(), end, number, base == 0 ? 10 : static_cast<int>(base));
  if (error == std::errc::invalid_argument || stop != end) return {};
  if (error != std::errc()) fail_overflow();
  return number;
}

Value to_int(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("int", arguments, {"default", "base"});
  expect_defined(input);
  std::optional<int64_t> result = input.as_int();
  if (input.is(Kind::kFloat)) result = truncated(input.floating());
  if (input.is(Kind::kString)) {
    budget.spend_reading(input.text().size());
    result = parse_whole(input.text(), bound.integer(1, 10));
    const auto number = parse_number<double>(input.text());
    if (!result && number) result = truncated(*number);
  }
  if (result) return *result;
  return bound[0] ? *bound[0] : Value(int64_t{0});
}

Value to_float(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("float", arguments, {"default"});
  expect_defined(input);
  if (input.is_number()) return input.number();
  if (input.is(Kind::kString)) {
    budget.spend_reading(input.text().size());
    if (const auto number = parse_number<double>(input.text())) return *number;
  }
  return bound[0] ? *bound[0] : Value(0.0);
}

Value absolute(Budget&, const Value& input, const Arguments& arguments) {
  const Bound bound("abs", arguments, {});
  expect_defined(input);
  if (!input.is_number()) fault("abs expects a number, found {}", type_name(input));
  if (input.is(Kind::kFloat)) return std::abs(input.floating());
  return *input.as_int() < 0 ? negate(input) : Value(*input.as_int());
}

/// Python's round(): to even where two are as near, exactly, as the decimal digits are those of the
/// number itself.
double round_to_even(double number, int precision) {
  if (precision == 0) return std::nearbyint(number);
  if (precision < 0) {
    const double scale = std::pow(10.0, -precision);
    return std::nearbyint(number / scale) * scale;
  }
  const std::string digits = fmt::format("{:.{}f}", number, precision);
  return *parse_number<double>(digits);
}

/// The same of a whole number, which stays one.
int64_t round_whole(int64_t number, int64_t precision) {
  if (precision >= 0) return number;
  if (precision < -18) return 0;
  int64_t scale = 1;
  for (int64_t i = precision; i < 0; ++i) scale *= 10;
  const int64_t rest = number % scale, whole = number / scale;
  const int64_t twice = 2 * std::abs(rest);
  const bool away = twice > scale || (twice == scale && whole % 2 != 0);
  int64_t result = whole + (away ? (number < 0 ? -1 : 1) : 0);
  if (__builtin_mul_overflow(result, scale, &result)) fail_overflow();
  return result;
}

Value round(Budget&, const Value& input, const Arguments& arguments) {
  const Bound bound("round", arguments, {"precision", "method"});
  const int64_t precision = bound.integer(0, 0);
  const std::string_view method = bound.text(1, "common");
  expect_defined(input);
  if (!input.is_number()) fault("round expects a number, found {}", type_name(input));
  if (precision < -300 || precision > 300) fault("round: expected a precision from -300 to 300");
  if (method == "common" && !input.is(Kind::kFloat)) return round_whole(*input.as_int(), precision);
  if (!std::isfinite(input.number())) return input;
  if (method == "common") return round_to_even(input.number(), static_cast<int>(precision));
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return std::ceil(input.number() * scale) / scale;
  if (method == "floor") return std::floor(input.number() * scale) / scale;
  fault("round: expected the method common, ceil or floor, found '{}'", method);
}

}  // namespace

Filter find_number_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> kFilters = {
      {"int", to_int}, {"float", to_float}, {"abs", absolute}, {"round", round}};
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace evo::jinja
