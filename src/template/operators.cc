#include "template/operators.h"

#include <algorithm>
#include <cmath>

#include "template/builtins/builtins.h"
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
    return text;
  }
  const size_t size = repetitions(count, value.items().size());
  budget.spend_items(size);
  Items items;
  items.reserve(size);
  while (items.size() < size) items.insert(items.end(), value.items().begin(), value.items().end());
  return value.is_tuple() ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

bool is_sequence(const Value& value) {
  return value.is(Kind::kString) || value.is(Kind::kList);
}

Value join_two(Budget& budget, const Value& a, const Value& b) {
  if (a.is(Kind::kString)) {
    budget.spend_bytes(a.text().size() + b.text().size());
    return std::string(a.text()).append(b.text());
  }
  budget.spend_items(a.items().size() + b.items().size());
  Items items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.is_tuple() ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

bool contains(Budget& budget, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kString:
      if (!item.is(Kind::kString)) fail_operands("in", item, container);
      budget.spend_reading(container.text().size());
      return find_text(container.text(), item.text()) != std::string_view::npos;
    case Kind::kList:
      return std::ranges::any_of(container.items(),
                                 [&](const Value& one) { return equal(budget, one, item); });
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

/// Where an index from outside points to; nothing if that is beyond the ends.
std::optional<size_t> place_of(int64_t index, size_t size) {
  const auto count = static_cast<int64_t>(size);
  if (index < 0) index += count;
  if (index < 0 || index >= count) return {};
  return static_cast<size_t>(index);
}

/// The indices of a slice of `size` elements, as Python's slice.indices() finds them.
struct Range {
  int64_t begin, step, count;
};

Range slice_range(int64_t size, const Value& begin, const Value& end, const Value& step_value) {
  const auto number = [](const Value& value, int64_t fallback) {
    if (value.is(Kind::kNone)) return fallback;
    const auto index = value.as_int();
    if (!index) fault("expected a whole number in a slice, found {}", type_name(value));
    return *index;
  };
  const int64_t step = number(step_value, 1);
  if (step == 0 || step == INT64_MIN) fault("a slice cannot have the step {}", step);
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const auto bound = [&](const Value& value, int64_t fallback) {
    if (value.is(Kind::kNone)) return fallback;
    const int64_t index = number(value, 0);
    return std::clamp(index < 0 ? std::max(index, -size - 1) + size : index, low, high);
  };
  const int64_t from = bound(begin, step > 0 ? low : high), to = bound(end, step > 0 ? high : low);
  const int64_t reach = step > 0 ? to - from : from - to;
  const int64_t stride = step > 0 ? step : -step;
  return {from, step, reach > 0 ? (reach - 1) / stride + 1 : 0};
}

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// The characters of a text as values.
Items character_values(Budget& budget, std::string_view text) {
  budget.spend_items(text.size());
  Items items;
  for (const std::string_view character : characters(text)) items.emplace_back(character);
  return items;
}

Value text_slice(Budget& budget, std::string_view text, const Value& begin, const Value& end,
                 const Value& step) {
  // One view for every character, unless characters are bytes.
  budget.spend_bytes(is_ascii(text) ? text.size() : text.size() * sizeof(std::string_view));
  std::string result;
  const auto gather = [&](size_t size, const auto& at) {
    const Range range = slice_range(static_cast<int64_t>(size), begin, end, step);
    for (int64_t i = 0; i < range.count; ++i) {
      result += at(static_cast<size_t>(range.begin + i * range.step));
    }
  };
  if (is_ascii(text)) {
    gather(text.size(), [&](size_t i) { return text.substr(i, 1); });
  } else {
    const std::vector<std::string_view> all = characters(text);
    gather(all.size(), [&](size_t i) { return all[i]; });
  }
  return result;
}

Value text_item(Budget& budget, std::string_view text, int64_t index) {
  budget.spend_reading(text.size());
  const auto place = place_of(index, count_characters(text));
  if (!place) return Value::undefined(fmt::format("a str has no character {}", index));
  for (size_t i = 0; i < *place; ++i) text.remove_prefix(first_character(text).size());
  return first_character(text);
}

Value missing(const Value& object, std::string_view name) {
  return Value::undefined(fmt::format("a {} has no '{}'", type_name(object), name));
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
  if (a.is(Kind::kList) && b.is(Kind::kList)) return compare_lists(budget, a.items(), b.items());
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

Value item_of(Budget& budget, const Value& container, const Value& key) {
  expect_defined(container);
  if (container.is(Kind::kDict)) {
    if (const auto found = find_key(budget, container, key)) {
      return container.entries()[*found].second;
    }
  }
  const auto index = key.as_int();
  if (container.is(Kind::kList) && index) {
    const auto place = place_of(*index, container.items().size());
    if (place) return container.items()[*place];
    return Value::undefined(fmt::format("a {} has no item {}", type_name(container), *index));
  }
  if (container.is(Kind::kString) && index) return text_item(budget, container.text(), *index);
  if (key.is(Kind::kString) && !container.is(Kind::kNamespace)) {
    return attribute_of(budget, container, key.text());
  }
  return missing(container, key.is(Kind::kString) ? key.text() : type_name(key));
}

Value attribute_of(Budget& budget, const Value& object, std::string_view name) {
  expect_defined(object);
  budget.spend_steps(1);
  if (has_method(object, name)) {
    return Value::callable({.name = std::string(name), .receiver = object});
  }
  const Value* found = nullptr;
  if (object.is(Kind::kDict)) {
    budget.spend_steps(object.entries().size());
    found = object.find(name);
  } else if (object.is(Kind::kNamespace)) {
    found = object.attribute(name);
  }
  return found ? *found : missing(object, name);
}

Value slice_of(Budget& budget, const Value& container, const Value& begin, const Value& end,
               const Value& step) {
  expect_defined(container);
  if (container.is(Kind::kString)) return text_slice(budget, container.text(), begin, end, step);
  if (!container.is(Kind::kList)) fault("a {} cannot be sliced", type_name(container));
  const Items& all = container.items();
  const Range range = slice_range(static_cast<int64_t>(all.size()), begin, end, step);
  budget.spend_items(static_cast<size_t>(range.count));
  Items items;
  for (int64_t i = 0; i < range.count; ++i) {
    items.push_back(all[range.begin + i * range.step]);
  }
  return container.is_tuple() ? Value::tuple(std::move(items)) : Value::list(std::move(items));
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

Items elements_of(Budget& budget, const Value& value) {
  Items items;
  switch (value.kind()) {
    case Kind::kList:
      budget.spend_items(value.items().size());
      return value.items();
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
      return std::ssize(value.items());
    case Kind::kDict:
      return std::ssize(value.entries());
    case Kind::kUndefined:
      return 0;
    default:
      fault("a {} has no length", type_name(value));
  }
}

}  // namespace evo::jinja
