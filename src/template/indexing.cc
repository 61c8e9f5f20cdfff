// What operators.h says of [], . and slices.
#include <algorithm>
#include <optional>

#include "template/builtins/builtins.h"
#include "template/operators.h"
#include "template/parse/syntax.h"
#include "template/text.h"

namespace evo::jinja {
namespace {

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

std::string text_slice(Budget& budget, std::string_view text, const Value& begin, const Value& end,
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

Value macro_attribute(const Value& macro, std::string_view name) {
  if (name == "name") return macro.callable().name;
  if (name != "arguments") return missing(macro, name);
  Items names;
  for (const Parameter& one : macro.callable().macro->parameters) names.emplace_back(one.name);
  return Value::tuple(std::move(names));
}

}  // namespace

Value item_of(Budget& budget, const Value& container, const Value& key) {
  expect_defined(container);
  if (container.is(Kind::kDict) && is_key(key)) {
    if (const auto found = find_key(budget, container, key)) {
      return container.entries()[*found].second;
    }
  }
  const auto index = key.as_int();
  if (container.is_indexed() && index) {
    const auto place = place_of(*index, container.items().size());
    if (place) return container.items()[*place];
    return Value::undefined(fmt::format("a {} has no item {}", type_name(container), *index));
  }
  if (container.is(Kind::kString) && index) {
    const Value item = text_item(budget, container.text(), *index);
    return item.is(Kind::kString) ? like(container, std::string(item.text())) : item;
  }
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
  } else if (object.is(Kind::kList) && object.list_kind() == ListKind::kGroup) {
    if (name == "grouper" || name == "list") return object.items()[name == "list" ? 1 : 0];
  } else if (object.is(Kind::kCallable) && object.callable().macro) {
    return macro_attribute(object, name);
  }
  return found ? *found : missing(object, name);
}

Value slice_of(Budget& budget, const Value& container, const Value& begin, const Value& end,
               const Value& step) {
  expect_defined(container);
  if (container.is(Kind::kString)) {
    return like(container, text_slice(budget, container.text(), begin, end, step));
  }
  if (!container.is_indexed()) fault("a {} cannot be sliced", type_name(container));
  const Items& all = container.items();
  const Range range = slice_range(static_cast<int64_t>(all.size()), begin, end, step);
  budget.spend_items(static_cast<size_t>(range.count));
  Items items;
  for (int64_t i = 0; i < range.count; ++i) {
    items.push_back(all[static_cast<size_t>(range.begin + i * range.step)]);
  }
  return container.is_tuple() ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

}  // namespace evo::jinja
