#include "template/format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "template/format_style.h"
#include "template/operators.h"
#include "template/print.h"
#include "template/text.h"

namespace evo::jinja {
namespace {

/// Takes the number that `text` begins with; nothing if it begins with none.
std::optional<size_t> take_number(std::string_view& text) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::invalid_argument) return {};
  if (error != std::errc() || number > kWidestFormat)
    fault("a width of more than {} characters", kWidestFormat);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

/// Takes one of `characters`; 0 if none comes.
char take_any(std::string_view& text, std::string_view characters) {
  if (text.empty() || characters.find(text[0]) == std::string_view::npos) return 0;
  const char found = text[0];
  text.remove_prefix(1);
  return found;
}

/// A string in which values are put one after the other.
class Output {
 public:
  Output(Budget& budget, const Value& pattern) : budget_(budget), pattern_(pattern) {}

  void add(std::string_view text) {
    budget_.spend_bytes(text.size());
    text_ += text;
  }
  /// A text that stands for `value`.
  void add_value(const Value& value, std::string text) {
    const bool escapes = pattern_.is_markup() && !value.is_markup();
    add(escapes ? escaped(budget_, Value(std::move(text))).text() : std::string_view(text));
  }
  [[nodiscard]] Value take() { return like(pattern_, std::move(text_)); }

 private:
  Budget& budget_;
  const Value& pattern_;
  std::string text_;
};

class PercentFormat {
 public:
  PercentFormat(Budget& budget, const Value& pattern, const Value& values)
      : budget_(budget), out_(budget, pattern), rest_(pattern.text()), values_(values) {}

  Value run() {
    for (size_t at; (at = rest_.find('%')) != std::string_view::npos;) {
      out_.add(rest_.substr(0, at));
      rest_.remove_prefix(at + 1);
      directive();
    }
    out_.add(rest_);
    const bool any_number = values_.is(Kind::kDict) || (values_.is(Kind::kList) && !is_tuple());
    const size_t given = is_tuple() ? values_.items().size() : 1;
    if (!any_number && taken_ < given) fault("%: {} values are given, {} used", given, taken_);
    return out_.take();
  }

 private:
  [[nodiscard]] bool is_tuple() const { return values_.is_tuple(); }

  Value next() {
    const size_t given = is_tuple() ? values_.items().size() : 1;
    if (taken_ >= given)
      fault("%: the pattern wants more than the {} values that are given", given);
    ++taken_;
    return is_tuple() ? values_.items()[taken_ - 1] : values_;
  }

  std::optional<size_t> number() {
    if (!take(rest_, '*')) return take_number(rest_);
    const auto value = next().as_int();
    if (!value || *value < 0 || *value > static_cast<int64_t>(kWidestFormat)) {
      fault("%*: expected a whole number from 0 to {}", kWidestFormat);
    }
    return static_cast<size_t>(*value);
  }

  std::optional<Value> named() {
    if (!take(rest_, '(')) return {};
    const size_t end = rest_.find(')');
    if (end == std::string_view::npos) fault("%(: expected ')' behind the name");
    if (!values_.is(Kind::kDict)) fault("%({}): expected a dict", rest_.substr(0, end));
    const Value* found = values_.find(rest_.substr(0, end));
    if (!found) fault("%({}): the dict has no such key", rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return *found;
  }

  void directive() {
    const std::optional<Value> given = named();
    FormatStyle style;
    for (char flag; (flag = take_any(rest_, "#0- +")) != 0;) {
      if (flag == '#') style.alternate = true;
      if (flag == '-') style.align = '<';
      if (flag == '0') style.fill = "0";
      if (flag == '+' || (flag == ' ' && style.sign == '-')) style.sign = flag;
    }
    style.width = number().value_or(0);
    if (take(rest_, '.')) style.precision = number().value_or(0);
    (void)take_any(rest_, "hlL");
    style.type = take_any(rest_, "diouxXeEfFgGcrsa%");
    if (style.type == 0) fault("%: expected one of diouxXeEfFgGcrsa% behind it");
    if (style.type == '%') return out_.add("%");
    budget_.spend_bytes(style.width + style.precision.value_or(0));
    show(given ? *given : next(), style);
  }

  void show(const Value& value, FormatStyle style) {
    const char type = style.type;
    if (type == 's' || type == 'r' || type == 'a' || type == 'c') {
      style.fill = " ";
      const bool text = type == 's' || (type == 'c' && value.is(Kind::kString));
      if (type == 'c' && !text) fault("%c is supported for strings only");
      std::string shown = text ? to_text(budget_, value) : to_repr(budget_, value);
      return out_.add_value(value, aligned(cut(std::move(shown), style), style, '>'));
    }
    if (!value.is_number()) fault("%{}: expected a number, found {}", type, type_name(value));
    if (style.fill == "0") style.align = style.align ? style.align : '=';
    if (style.align == '<') style.fill = " ";
    const bool whole = std::string_view("diuoxX").find(type) != std::string_view::npos;
    if (!whole) return out_.add(double_text(value.number(), style));
    if (value.is(Kind::kFloat) && !(std::abs(value.number()) < 0x1p63)) {
      fault("%{}: {} does not fit into 64 bits", type, value.number());
    }
    const auto integer = value.as_int();
    if (style.precision && style.align == '=') {
      style.fill = " ";
      style.align = '>';
    }
    out_.add(integer_text(integer ? *integer : static_cast<int64_t>(value.number()), style));
  }

  Budget& budget_;
  Output out_;
  std::string_view rest_;
  const Value& values_;
  size_t taken_ = 0;
};

class FieldFormat {
 public:
  FieldFormat(Budget& budget, const Value& pattern, const Arguments& arguments)
      : budget_(budget), pattern_(pattern), arguments_(arguments) {}

  Value run() {
    Output out(budget_, pattern_);
    fill(pattern_.text(), out, 0);
    return out.take();
  }

 private:
  /// Puts `text` into `out`, its fields replaced.
  void fill(std::string_view text, Output& out, int level) {
    while (!text.empty()) {
      const size_t at = std::min(text.find_first_of("{}"), text.size());
      out.add(text.substr(0, at));
      text.remove_prefix(at);
      if (text.empty()) return;
      if (text.size() > 1 && text[1] == text[0]) {
        out.add(text.substr(0, 1));
        text.remove_prefix(2);
      } else if (text[0] == '}') {
        fault("format: a single '}}' in the pattern");
      } else {
        const size_t end = closing(text);
        field(text.substr(1, end - 1), out, level);
        text.remove_prefix(end + 1);
      }
    }
  }

  static size_t closing(std::string_view text) {
    int open = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      open += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
      if (open == 0) return i;
    }
    fault("format: expected '}}' behind this '{{'");
  }

  void field(std::string_view field, Output& out, int level) {
    if (level > 1) fault("format: fields inside of fields too deep");
    const size_t end = std::min(field.find_first_of("!:"), field.size());
    Value value = named(field.substr(0, end));
    field.remove_prefix(end);
    if (take(field, '!')) {
      const char conversion = take_any(field, "rs");
      if (conversion == 0) fault("format: expected !r or !s");
      value = conversion == 'r' ? Value(to_repr(budget_, value)) : Value(to_text(budget_, value));
    }
    std::string spec;
    if (take(field, ':')) {
      const Value plain("");
      Output inner(budget_, plain);
      fill(field, inner, level + 1);
      spec = inner.take().text();
    } else if (!field.empty()) {
      fault("format: expected ':' or '}}' behind the name of a field");
    }
    out.add_value(value, shown(value, spec));
  }

  /// "", "0", "name", "name.part[0]".
  Value named(std::string_view path) {
    const size_t end = std::min(path.find_first_of(".["), path.size());
    Value value = first(path.substr(0, end));
    path.remove_prefix(end);
    while (!path.empty()) {
      const bool index = path[0] == '[';
      path.remove_prefix(1);
      const size_t stop = index ? path.find(']') : std::min(path.find_first_of(".["), path.size());
      if (stop == std::string_view::npos) fault("format: expected ']' behind an index");
      std::string_view part = path.substr(0, stop);
      path.remove_prefix(index ? stop + 1 : stop);
      if (!index) {
        value = attribute_of(budget_, value, part);
        continue;
      }
      const std::optional<size_t> number = take_number(part);
      value = item_of(budget_, value,
                      number && part.empty() ? Value(static_cast<int64_t>(*number)) : Value(part));
    }
    return value;
  }

  Value first(std::string_view name) {
    std::string_view digits = name;
    const std::optional<size_t> number = take_number(digits);
    if (name.empty() || (number && digits.empty())) {
      const size_t place = number ? *number : next_++;
      if (place < arguments_.positional.size()) return arguments_.positional[place];
      fault("format: there is no argument {}", place);
    }
    const auto found =
        std::ranges::find(arguments_.named, name, &std::pair<std::string, Value>::first);
    if (found == arguments_.named.end()) fault("format: there is no argument '{}'", name);
    return found->second;
  }

  static FormatStyle parse(std::string_view spec) {
    constexpr std::string_view kAligns = "<>^=";
    FormatStyle style;
    if (!spec.empty()) {
      const std::string_view fill = first_character(spec);
      if (spec.size() > fill.size() && kAligns.find(spec[fill.size()]) != std::string_view::npos) {
        style.fill = fill;
        spec.remove_prefix(fill.size());
      }
    }
    style.align = take_any(spec, kAligns);
    if (const char sign = take_any(spec, "+- ")) style.sign = sign;
    style.alternate = take(spec, '#');
    if (take(spec, '0') && style.align == 0) {
      style.fill = "0";
      style.align = '=';
    }
    style.width = take_number(spec).value_or(0);
    style.grouping = take_any(spec, ",_");
    if (take(spec, '.')) {
      style.precision = take_number(spec);
      if (!style.precision) fault("format: expected a number behind '.'");
    }
    style.type = take_any(spec, "sdxXobeEfFgG%");
    if (!spec.empty()) fault("format: the form '{}' is not supported", spec.substr(0, 40));
    return style;
  }

  std::string shown(const Value& value, std::string_view spec) {
    if (spec.empty()) return to_text(budget_, value);
    FormatStyle style = parse(spec);
    budget_.spend_bytes((style.width + style.precision.value_or(0)) * style.fill.size());
    const bool fraction = std::string_view("eEfFgG%").find(style.type) != std::string_view::npos;
    if (value.is_number() && style.type != 's') {
      const auto integer = value.as_int();
      if (value.is(Kind::kBool) && style.type == 0)
        fault("format: a bool takes no form without a type");
      if (integer && !style.type && style.precision)
        fault("format: a whole number has no precision");
      return integer && !fraction ? integer_text(*integer, style)
                                  : double_text(value.number(), style);
    }
    const bool fits = value.is(Kind::kString) && (style.type == 0 || style.type == 's') &&
                      style.align != '=' && style.sign == '-' && !style.grouping;
    if (!fits) fault("format: a {} cannot be shown as '{}'", type_name(value), spec);
    return aligned(cut(std::string(value.text()), style), style, '<');
  }

  Budget& budget_;
  const Value& pattern_;
  const Arguments& arguments_;
  size_t next_ = 0;
};

}  // namespace

Value format_percent(Budget& budget, const Value& pattern, const Value& values) {
  expect_defined(values);
  return PercentFormat(budget, pattern, values).run();
}

Value format_fields(Budget& budget, const Value& pattern, const Arguments& arguments) {
  return FieldFormat(budget, pattern, arguments).run();
}

}  // namespace evo::jinja
