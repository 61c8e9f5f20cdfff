// Filters over lists.
#include <algorithm>
#include <unordered_map>

#include "template/builtins/builtins.h"
#include "template/operators.h"
#include "template/text.h"

namespace evo::jinja {
namespace {

/// item.a.b for "a.b"; numbers are indices.
Value attribute_path(Budget& budget, Value item, const Value& path) {
  if (path.as_int()) return item_of(budget, item, path);
  if (!path.is(Kind::kString))
    fault("expected the name of an attribute, found {}", type_name(path));
  std::string_view rest = path.text();
  for (bool more = true; more;) {
    const size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    const bool index = !part.empty() && part.size() < 10 &&
                       part.find_first_not_of("0123456789") == std::string_view::npos;
    // As Jinja: the entry of a dict first, so that "items" is one.
    item =
        item_of(budget, item, index ? Value(int64_t{std::stoi(std::string(part))}) : Value(part));
    more = dot != std::string_view::npos;
    if (more) rest.remove_prefix(dot + 1);
  }
  return item;
}

/// `item`, or its attribute if one is named.
Value keyed(Budget& budget, const Value& item, const Value* path) {
  return path && !path->is(Kind::kNone) ? attribute_path(budget, item, *path) : item;
}

Value fold_case(Budget& budget, const Value& value) {
  return value.is(Kind::kString) ? budget.text(to_lower(std::string(value.text()))) : value;
}

/// Arguments from the `count`-th on.
Arguments without_first(const Arguments& arguments, size_t count) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<std::ptrdiff_t>(count));
  return rest;
}

std::string name_argument(std::string_view filter, const Arguments& arguments, size_t index) {
  if (arguments.positional.size() <= index || !arguments.positional[index].is(Kind::kString)) {
    fault("{} expects a name in quotes as its argument", filter);
  }
  return std::string(arguments.positional[index].text());
}

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
  const Items items = elements_of(budget, input);
  return items.empty() ? Value::undefined("there is no first item") : items.front();
}

Value last(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("last", arguments, {});
  const Items items = elements_of(budget, input);
  return items.empty() ? Value::undefined("there is no last item") : items.back();
}

Value list(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("list", arguments, {});
  return Value::list(elements_of(budget, input));
}

Value items(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("items", arguments, {});
  if (input.is(Kind::kUndefined)) return Value::list({});
  if (!input.is(Kind::kDict)) fault("items expects a dict, found {}", type_name(input));
  return call_method(budget, input, "items", {});
}

Value map(Budget& budget, const Value& input, const Arguments& arguments) {
  Items items = elements_of(budget, input);
  if (arguments.positional.empty()) {
    const Bound bound("map", arguments, {"attribute", "default"});
    if (!bound[0]) fault("map expects the name of a filter, or attribute=");
    for (Value& item : items) {
      item = attribute_path(budget, item, *bound[0]);
      if (item.is(Kind::kUndefined) && bound[1]) item = *bound[1];
    }
  } else {
    const std::string filter = name_argument("map", arguments, 0);
    const Arguments rest = without_first(arguments, 1);
    for (Value& item : items) item = apply_filter(budget, filter, item, rest);
  }
  return Value::list(std::move(items));
}

/// Keeps the items for which a test holds, or not; `by_attribute`: of their attribute.
Value filter_items(Budget& budget, std::string_view filter, const Value& input,
                   const Arguments& arguments, bool by_attribute, bool wanted) {
  if (by_attribute && arguments.positional.empty()) {
    fault("{} expects the name of an attribute", filter);
  }
  const size_t test_at = by_attribute ? 1 : 0;
  const bool has_test = arguments.positional.size() > test_at;
  const std::string test = has_test ? name_argument(filter, arguments, test_at) : "";
  const Arguments rest = has_test ? without_first(arguments, test_at + 1) : Arguments();
  Items kept;
  for (const Value& item : elements_of(budget, input)) {
    const Value value = by_attribute ? attribute_path(budget, item, arguments.positional[0]) : item;
    budget.spend_steps(1);
    const bool holds = has_test ? apply_test(budget, test, value, rest) : value.truthy();
    if (holds == wanted) kept.push_back(item);
  }
  return Value::list(std::move(kept));
}

Value select(Budget& budget, const Value& input, const Arguments& arguments) {
  return filter_items(budget, "select", input, arguments, false, true);
}

Value reject(Budget& budget, const Value& input, const Arguments& arguments) {
  return filter_items(budget, "reject", input, arguments, false, false);
}

Value selectattr(Budget& budget, const Value& input, const Arguments& arguments) {
  return filter_items(budget, "selectattr", input, arguments, true, true);
}

Value rejectattr(Budget& budget, const Value& input, const Arguments& arguments) {
  return filter_items(budget, "rejectattr", input, arguments, true, false);
}

Value sort(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  std::vector<Entry> order;  // key and item
  for (const Value& item : elements_of(budget, input)) {
    const Value key = keyed(budget, item, bound[2]);
    order.emplace_back(bound.boolean(1, false) ? key : fold_case(budget, key), item);
  }
  const bool reverse = bound.boolean(0, false);
  std::ranges::stable_sort(order, [&](const Entry& a, const Entry& b) {
    return reverse ? compare(budget, b.first, a.first) < 0 : compare(budget, a.first, b.first) < 0;
  });
  Items sorted;
  for (const auto& [key, item] : order) sorted.push_back(item);
  return budget.list(std::move(sorted));
}

Value unique(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  Items keys, kept;
  for (const Value& item : elements_of(budget, input)) {
    const Value raw = keyed(budget, item, bound[1]);
    const Value key = bound.boolean(0, false) ? raw : fold_case(budget, raw);
    const auto same = [&](const Value& other) { return equal(budget, other, key); };
    if (std::ranges::any_of(keys, same)) continue;
    keys.push_back(key);
    kept.push_back(item);
  }
  return budget.list(std::move(kept));
}

Value reverse(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("reverse", arguments, {});
  Items items = elements_of(budget, input);
  std::ranges::reverse(items);
  return input.is(Kind::kString) ? join_texts(budget, items, "", true)
                                 : Value::list(std::move(items));
}

Value sum(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  Value total = bound[1] ? *bound[1] : Value(int64_t{0});
  for (const Value& item : elements_of(budget, input)) {
    total = apply_binary(budget, "+", total, keyed(budget, item, bound[0]));
  }
  return total;
}

}  // namespace

Filter find_list_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> kFilters = {{"length", length},
                                                                        {"count", length},
                                                                        {"join", join},
                                                                        {"first", first},
                                                                        {"last", last},
                                                                        {"list", list},
                                                                        {"items", items},
                                                                        {"map", map},
                                                                        {"select", select},
                                                                        {"reject", reject},
                                                                        {"selectattr", selectattr},
                                                                        {"rejectattr", rejectattr},
                                                                        {"sort", sort},
                                                                        {"unique", unique},
                                                                        {"reverse", reverse},
                                                                        {"sum", sum}};
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace evo::jinja
