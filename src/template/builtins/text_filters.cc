// Filters whose result is a text, a number or the value itself.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "template/builtins/builtins.h"
#include "template/operators.h"
#include "template/print.h"
#include "template/text.h"

namespace evo::jinja {
namespace {

Value trim(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("trim", arguments, {"chars"});
  return strip_text(budget, input_text(budget, input), static_cast<int>(Side::kBoth), bound[0]);
}

Value upper(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("upper", arguments, {});
  return to_upper(input_text(budget, input));
}

Value lower(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("lower", arguments, {});
  return to_lower(input_text(budget, input));
}

Value capitalize(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("capitalize", arguments, {});
  std::string text = to_lower(input_text(budget, input));
  if (!text.empty()) text[0] = to_upper(text[0]);
  return text;
}

/// Words begin after white space and opening brackets; "it's" stays one.
Value title(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("title", arguments, {});
  std::string text = to_lower(input_text(budget, input));
  bool begins = true;
  for (char& c : text) {
    if (begins) c = to_upper(c);
    begins = is_space({&c, 1}) || std::string_view("-({[<").find(c) != std::string_view::npos;
  }
  return text;
}

Value replace(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  const int64_t count = bound[2] && bound[2]->is(Kind::kNone) ? -1 : bound.integer(2, -1);
  return replace_text(budget, input_text(budget, input), bound.text(0, ""), bound.text(1, ""),
                      count);
}

Value indent(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  const bool named = bound[0] && bound[0]->is(Kind::kString);
  const Value margin = named ? *bound[0] : apply_binary(budget, "*", " ", bound.integer(0, 4));
  // As Jinja does it: a line end at the end stays one.
  const std::string text = input_text(budget, input) + "\n";
  std::string result;
  bool first = true;
  for (const std::string_view line : split_lines(text)) {
    budget.spend_bytes(1 + margin.text().size() + line.size());
    if (!first) result += '\n';
    const bool indented =
        first ? bound.boolean(1, false) : bound.boolean(2, false) || !line.empty();
    if (indented) result += margin.text();
    result += line;
    first = false;
  }
  return result;
}

Value string(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("string", arguments, {});
  return input.is(Kind::kString) ? input : Value(to_text(budget, input));
}

Value safe(Budget&, const Value& input, const Arguments& arguments) {
  const Bound bound("safe", arguments, {});  // nothing is escaped, so nothing is to be kept from it
  return input;
}

Value fallback(Budget&, const Value& input, const Arguments& arguments) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  const bool missing = input.is(Kind::kUndefined) || (bound.boolean(1, false) && !input.truthy());
  if (!missing) return input;
  return bound[0] ? *bound[0] : Value("");
}

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

std::optional<int64_t> truncated(double number) {
  if (!(std::abs(number) < 0x1p63)) return {};
  return static_cast<int64_t>(number);
}

Value to_int(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("int", arguments, {"default"});
  std::optional<int64_t> result = input.as_int();
  if (input.is(Kind::kFloat)) result = truncated(input.floating());
  if (input.is(Kind::kString)) {
    budget.spend_reading(input.text().size());
    result = parse_number<int64_t>(input.text());
    const auto number = parse_number<double>(input.text());
    if (!result && number) result = truncated(*number);
  }
  if (result) return *result;
  return bound[0] ? *bound[0] : Value(int64_t{0});
}

Value to_float(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("float", arguments, {"default"});
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
  const std::string digits = fmt::format("{:.{}f}", number, precision);
  return *parse_number<double>(digits);
}

Value round(Budget&, const Value& input, const Arguments& arguments) {
  const Bound bound("round", arguments, {"precision", "method"});
  const int64_t precision = bound.integer(0, 0);
  const std::string_view method = bound.text(1, "common");
  expect_defined(input);
  if (!input.is_number()) fault("round expects a number, found {}", type_name(input));
  if (precision < 0 || precision > 300) fault("round: expected a precision from 0 to 300");
  if (method == "common" && !input.is(Kind::kFloat)) return *input.as_int();
  if (!std::isfinite(input.number())) return input;
  if (method == "common") return round_to_even(input.number(), static_cast<int>(precision));
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return std::ceil(input.number() * scale) / scale;
  if (method == "floor") return std::floor(input.number() * scale) / scale;
  fault("round: expected the method common, ceil or floor, found '{}'", method);
}

/// json.dumps(): `indent` is a number of blanks or a text, none for one line.
Value tojson(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  // Jinja's own filter has indent first, the one of chat templates ensure_ascii.
  JsonStyle style;
  style.ensure_ascii = bound.boolean(0, false);
  style.sort_keys = bound.boolean(3, false);
  if (bound[1] && !bound[1]->is(Kind::kNone)) {
    style.lines = true;
    style.item_separator = ",";
    const Value margin = bound[1]->is(Kind::kString)
                             ? *bound[1]
                             : apply_binary(budget, "*", " ", bound.integer(1, 0));
    style.indent = margin.text();
  }
  if (bound[2] && !bound[2]->is(Kind::kNone)) {
    const bool pair = bound[2]->is(Kind::kList) && bound[2]->items().size() == 2 &&
                      std::ranges::all_of(bound[2]->items(),
                                          [](const Value& one) { return one.is(Kind::kString); });
    if (!pair) fault("tojson: expected two strings as separators");
    style.item_separator = bound[2]->items()[0].text();
    style.key_separator = bound[2]->items()[1].text();
  }
  return to_json(budget, input, style);
}

}  // namespace

Filter find_text_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> kFilters = {
      {"trim", trim},       {"upper", upper},           {"lower", lower},   {"title", title},
      {"replace", replace}, {"capitalize", capitalize}, {"indent", indent}, {"string", string},
      {"safe", safe},       {"default", fallback},      {"d", fallback},    {"int", to_int},
      {"float", to_float},  {"abs", absolute},          {"round", round},   {"tojson", tojson}};
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace evo::jinja
