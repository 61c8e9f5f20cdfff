#include "template/operators.h"

#include <algorithm>
#include <cmath>

#include "template/builtins/builtins.h"
#include "template/format.h"
#include "template/print.h"
#include "template/text.h"

namespace evo::jinja {
namespace {

[[noreturn]] void fail_operands(std::string_view op, const Value& a, const Value& b) {
  expect_defined(a);
  expect_defined(b);
  fault("'{}' cannot be applied to {} and {}", op, type_name(a), type_name(b));
}

[[noreturn]] void fail_overflow() {
  fault("a whole number does not fit into 64 bits");
}

int64_t floor_division(int64_t a, int64_t b) {
  if (b == 0) fault("division by zero");
  if (a == INT64_MIN && b == -1) fail_overflow();
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t modulo(int64_t a, int64_t b) {
  if (b == 0) fault("division by zero");
  if (b == -1) return 0;  // INT64_MIN % -1 is not defined
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

int64_t int_power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) fail_overflow();
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) fail_overflow();
  }
  return result;
}

Value int_operation(std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (op == "//") {
    result = floor_division(a, b);
  } else if (op == "%") {
    result = modulo(a, b);
  } else {
    result = int_power(a, b);
  }
  if (overflow) fail_overflow();
  return result;
}

Value float_operation(std::string_view op, double a, double b) {
  const bool divides = op == "/" || op == "//" || op == "%";
  if (divides && b == 0) fault("division by zero");
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "/") return a / b;
  if (op == "//") return std::floor(a / b);
  if (op == "**") return std::pow(a, b);
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Value number_operation(std::string_view op, const Value& a, const Value& b) {
  const auto x = a.as_int(), y = b.as_int();
  const bool whole = x && y && op != "/" && !(op == "**" && *y < 0);
  return whole ? int_operation(op, *x, *y) : float_operation(op, a.number(), b.number());
}

size_t repetitions(int64_t count, size_t size) {
  size_t all = 0;
  const auto times = static_cast<size_t>(std::max<int64_t>(0, count));
  if (__builtin_mul_overflow(times, size, &all)) fail_overflow();
  return all;
}

Value repeat(Budget& budget, const Value& value, int64_t count) {
  if (value.is(Kind::kString)) {
    const size_t size = repetitions(count, value.text().size());
    budget.spend_bytes(size);
    std::string text;
    text.reserve(size);
    while (text.size() < size) text += value.text();
    return like(value, std::move(text));
  }
  const size_t size = repetitions(count, value.items().size());
  budget.spend_items(size);
  Items items;
  items.reserve(size);
  while (items.size() < size) items.insert(items.end(), value.items().begin(), value.items().end());
  return value.is_tuple() ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

bool is_sequence(const Value& value) {
  return value.is(Kind::kString) || value.is_indexed();
}

Value join_two(Budget& budget, const Value& a, const Value& b) {
  if (a.is_markup() != b.is_markup()) {
    return join_two(budget, escaped(budget, a), escaped(budget, b));
  }
  if (a.is(Kind::kString)) {
    budget.spend_bytes(a.text().size() + b.text().size());
    return like(a, std::string(a.text()).append(b.text()));
  }
  budget.spend_items(a.items().size() + b.items().size());
  Items items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.is_tuple() ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

/// A generator is used up to what was looked for.
bool list_contains(Budget& budget, const Value& list, const Value& item) {
  const Items& items = list.items();
  const size_t begin = list.is_generator() ? list.use_up(0) : 0;
  for (size_t i = begin; i < items.size(); ++i) {
    if (list.is_generator()) list.use_up(i + 1);
    if (equal(budget, items[i], item)) return true;
  }
  return false;
}

bool contains(Budget& budget, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kString:
      if (!item.is(Kind::kString)) fail_operands("in", item, container);
      budget.spend_reading(container.text().size());
      return find_text(container.text(), item.text()) != std::string_view::npos;
    case Kind::kList:
      return list_contains(budget, container, item);
    case Kind::kDict:
      return find_key(budget, container, item).has_value();
    case Kind::kUndefined:
      return false;
    default:
      fail_operands("in", item, container);
  }
}

int compare_lists(Budget& budget, const Items& a, const Items& b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (!equal(budget, a[i], b[i])) return compare(budget, a[i], b[i]);
  }
  return a.size() < b.size() ? -1 : a.size() > b.size();
}

/// The characters of a text as values.
Items character_values(Budget& budget, std::string_view text) {
  budget.spend_items(text.size());
  Items items;
  for (const std::string_view character : characters(text)) items.emplace_back(character);
  return items;
}

}  // namespace

void expect_defined(const Value& value) {
  if (value.is(Kind::kUndefined)) fault("{}", value.problem());
}

Value apply_binary(Budget& budget, std::string_view op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return number_operation(op, a, b);
  if (op == "+" && is_sequence(a) && a.kind() == b.kind() && a.is_tuple() == b.is_tuple()) {
    return join_two(budget, a, b);
  }
  if (op == "*" && is_sequence(a) && b.as_int()) return repeat(budget, a, *b.as_int());
  if (op == "*" && a.as_int() && is_sequence(b)) return repeat(budget, b, *a.as_int());
  if (op == "%" && a.is(Kind::kString)) return format_percent(budget, a, b);
  fail_operands(op, a, b);
}

Value negate(const Value& value) {
  expect_defined(value);
  if (!value.is_number()) fault("'-' cannot be applied to {}", type_name(value));
  return value.is(Kind::kFloat) ? Value(-value.floating()) : int_operation("-", 0, *value.as_int());
}

int compare(Budget& budget, const Value& a, const Value& b) {
  budget.spend_steps(1);
  const auto order = [](const auto& x, const auto& y) { return x < y ? -1 : x > y; };
  if (a.is_number() && b.is_number()) {
    const auto x = a.as_int(), y = b.as_int();
    return x && y ? order(*x, *y) : order(a.number(), b.number());
  }
  if (a.is(Kind::kString) && b.is(Kind::kString)) {
    budget.spend_reading(std::min(a.text().size(), b.text().size()));
    return order(a.text(), b.text());
  }
  if (a.is_indexed() && b.is_indexed() && a.is_tuple() == b.is_tuple()) {
    return compare_lists(budget, a.items(), b.items());
  }
  fail_operands("<", a, b);
}

bool holds(Budget& budget, std::string_view op, const Value& a, const Value& b) {
  if (op == "==") return equal(budget, a, b);
  if (op == "!=") return !equal(budget, a, b);
  if (op == "in") return contains(budget, b, a);
  if (op == "not in") return !contains(budget, b, a);
  const bool numbers = a.is_number() && b.is_number();
  if (numbers && (std::isnan(a.number()) || std::isnan(b.number()))) return false;
  const int order = compare(budget, a, b);
  if (op == "<") return order < 0;
  if (op == "<=") return order <= 0;
  if (op == ">") return order > 0;
  EVO_CHECK(op == ">=");
  return order >= 0;
}

Value make_dict(Budget& budget, std::vector<Entry> entries) {
  budget.spend_items(2 * entries.size());
  std::vector<Entry> kept;
  for (Entry& entry : entries) {
    expect_key(entry.first);
    const auto same = std::ranges::find_if(
        kept, [&](const Entry& other) { return equal(budget, other.first, entry.first); });
    if (same == kept.end()) {
      kept.push_back(std::move(entry));
    } else {
      same->second = std::move(entry.second);
    }
  }
  return Value::dict(std::move(kept));
}

Items elements_of(Budget& budget, const Value& value, size_t most) {
  Items items;
  switch (value.kind()) {
    case Kind::kList: {
      budget.spend_items(std::min(most, value.items().size()));
      const size_t begin = value.is_generator() ? value.use_up(0) : 0;
      const size_t end = begin + std::min(most, value.items().size() - begin);
      if (value.is_generator()) value.use_up(end);
      const auto first = value.items().begin();
      items.assign(first + static_cast<std::ptrdiff_t>(begin),
                   first + static_cast<std::ptrdiff_t>(end));
      return items;
    }
    case Kind::kDict:
      budget.spend_items(value.entries().size());
      for (const auto& [key, entry] : value.entries()) items.push_back(key);
      return items;
    case Kind::kString:
      return character_values(budget, value.text());
    case Kind::kUndefined:
      return items;
    default:
      fault("expected something to go through, found {}", type_name(value));
  }
}

int64_t length_of(Budget& budget, const Value& value) {
  switch (value.kind()) {
    case Kind::kString:
      budget.spend_reading(value.text().size());
      return static_cast<int64_t>(count_characters(value.text()));
    case Kind::kList:
      if (value.is_generator()) fault("a generator has no length");
      return std::ssize(value.items());
    case Kind::kDict:
      return std::ssize(value.entries());
    case Kind::kUndefined:
      return 0;
    default:
      fault("a {} has no length", type_name(value));
  }
}

Value like(const Value& source, std::string text) {
  return source.is_markup() ? Value::markup(std::move(text)) : Value(std::move(text));
}

Value escaped(Budget& budget, const Value& value) {
  if (value.is_markup()) return value;
  std::string result;
  for (const char c : to_text(budget, value)) {
    const size_t known = std::string_view("&<>'\"").find(c);
    constexpr std::string_view kEntities[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    if (known == std::string_view::npos) {
      result += c;
    } else {
      result += kEntities[known];
    }
  }
  budget.spend_bytes(result.size());
  return Value::markup(std::move(result));
}

}  // namespace evo::jinja
