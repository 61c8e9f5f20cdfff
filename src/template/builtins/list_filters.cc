// Filters over lists that take all of their items, in their order.
#include <algorithm>
#include <unordered_map>
#include <utility>

#include "template/builtins/builtins.h"
#include "template/builtins/item_keys.h"
#include "template/operators.h"
#include "template/text.h"

namespace evo::jinja {
namespace {

Value length(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("length", arguments, {});
  return length_of(budget, input);
}

Value join(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("join", arguments, {"d", "attribute"});
  Items items = elements_of(budget, input);
  for (Value& item : items) item = keyed(budget, item, bound[1]);
  return join_texts(budget, items, bound.text(0, ""), false);
}

Value first(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("first", arguments, {});
  const Items items = elements_of(budget, input, 1);
  return items.empty() ? Value::undefined("there is no first item") : items.front();
}

Value last(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("last", arguments, {});
  if (input.is_generator()) fault("last: a generator cannot be read from its end");
  const Items items = elements_of(budget, input);
  return items.empty() ? Value::undefined("there is no last item") : items.back();
}

Value list(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("list", arguments, {});
  return Value::list(elements_of(budget, input));
}

Value items(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("items", arguments, {});
  if (input.is(Kind::kUndefined)) return Value::generator({});
  if (!input.is(Kind::kDict)) fault("items expects a dict, found {}", type_name(input));
  return Value::generator(call_method(budget, input, "items", {}).items());
}

Value reverse(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("reverse", arguments, {});
  Items items = elements_of(budget, input);
  std::ranges::reverse(items);
  if (input.is(Kind::kString)) {
    return like(input, std::string(join_texts(budget, items, "", true).text()));
  }
  return input.is_generator() ? Value::list(std::move(items)) : Value::generator(std::move(items));
}

Value sum(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  Value total = bound[1] ? *bound[1] : Value(int64_t{0});
  for (const Value& item : elements_of(budget, input)) {
    total = apply_binary(budget, "+", total, keyed(budget, item, bound[0]));
  }
  return total;
}

/// Lists of `linecount` items each, the last one filled up.
Value batch(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("batch", arguments, {"linecount", "fill_with"}, 1);
  const int64_t count = bound.integer(0, 0);
  if (count < 1) fault("batch: expected 1 or more items a list, found {}", count);
  const auto size = static_cast<size_t>(count);
  Items lists, items;
  const auto end_list = [&] { lists.push_back(budget.list(std::exchange(items, {}))); };
  for (const Value& item : elements_of(budget, input)) {
    if (items.size() == size) end_list();
    items.push_back(item);
  }
  if (!items.empty()) {
    if (bound[1] && !bound[1]->is(Kind::kNone)) {
      budget.spend_items(size);
      items.resize(size, *bound[1]);
    }
    end_list();
  }
  return Value::generator(std::move(lists));
}

/// So many lists of about one length.
Value slice_list(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("slice", arguments, {"slices", "fill_with"}, 1);
  const int64_t slices = bound.integer(0, 0);
  if (slices < 1 || slices > UINT32_MAX) fault("slice: expected 1 or more lists, found {}", slices);
  budget.spend_items(static_cast<size_t>(slices));
  const Items items = elements_of(budget, input);
  const int64_t each = std::ssize(items) / slices, longer = std::ssize(items) % slices;
  Items lists;
  auto begin = items.begin();
  for (int64_t i = 0; i < slices; ++i) {
    const auto end = begin + each + (i < longer ? 1 : 0);
    Items part(begin, end);
    if (bound[1] && !bound[1]->is(Kind::kNone) && i >= longer) part.push_back(*bound[1]);
    lists.push_back(budget.list(std::move(part)));
    begin = end;
  }
  return Value::generator(std::move(lists));
}

}  // namespace

Filter find_list_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> kFilters = {
      {"length", length}, {"count", length}, {"join", join},       {"first", first},
      {"last", last},     {"list", list},    {"items", items},     {"reverse", reverse},
      {"sum", sum},       {"batch", batch},  {"slice", slice_list}};
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace evo::jinja
