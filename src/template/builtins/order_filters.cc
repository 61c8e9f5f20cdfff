// Filters that compare the items of a list with each other.
#include <algorithm>
#include <functional>
#include <unordered_map>

#include "template/builtins/builtins.h"
#include "template/builtins/item_keys.h"
#include "template/operators.h"

namespace evo::jinja {
namespace {

/// What an item is compared by.
using Key = std::function<Value(const Value& item)>;

/// A list, as Python compares it: of the attribute, of several for "a,b", or of the item itself, in
/// lower case unless case counts.
Key key_of(Budget& budget, const Value* attribute, bool case_sensitive) {
  std::vector<Value> paths;
  if (attribute && attribute->is(Kind::kString)) {
    std::string_view rest = attribute->text();
    for (size_t comma; (comma = rest.find(',')) != std::string_view::npos;) {
      paths.emplace_back(rest.substr(0, comma));
      rest.remove_prefix(comma + 1);
    }
    paths.emplace_back(rest);
  } else if (attribute && !attribute->is(Kind::kNone)) {
    paths.push_back(*attribute);
  }
  return [&budget, paths, case_sensitive](const Value& item) {
    const auto one = [&](const Value* path) {
      const Value key = keyed(budget, item, path);
      return case_sensitive ? key : fold_case(budget, key);
    };
    Items keys;
    if (paths.empty()) keys.push_back(one(nullptr));
    for (const Value& path : paths) keys.push_back(one(&path));
    return budget.list(std::move(keys));
  };
}

/// Items beside their keys, in rising order of these, or in falling order; equal ones stay as they
/// are.
std::vector<Entry> ordered(Budget& budget, const Items& items, const Key& key, bool reverse) {
  std::vector<Entry> order;
  for (const Value& item : items) order.emplace_back(key(item), item);
  std::ranges::stable_sort(order, [&](const Entry& a, const Entry& b) {
    return reverse ? compare(budget, b.first, a.first) < 0 : compare(budget, a.first, b.first) < 0;
  });
  return order;
}

Value sort(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const Key key = key_of(budget, bound[2], bound.boolean(1, false));
  Items sorted;
  for (const auto& [by, item] :
       ordered(budget, elements_of(budget, input), key, bound.boolean(0, false))) {
    sorted.push_back(item);
  }
  return budget.list(std::move(sorted));
}

Value unique(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  Items keys, kept;
  for (const Value& item : elements_of(budget, input)) {
    const Value raw = keyed(budget, item, bound[1]);
    const Value key = bound.boolean(0, false) ? raw : fold_case(budget, raw);
    expect_key(key);
    const auto same = [&](const Value& other) { return equal(budget, other, key); };
    if (std::ranges::any_of(keys, same)) continue;
    keys.push_back(key);
    kept.push_back(item);
  }
  budget.spend_items(kept.size());
  return Value::generator(std::move(kept));
}

/// The first of those that nothing is above, in the direction.
Value extreme(Budget& budget, const Value& input, const Arguments& arguments, int direction) {
  const Bound bound(direction > 0 ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  const auto key = [&](const Value& item) {
    const Value raw = keyed(budget, item, bound[1]);
    return bound.boolean(0, false) ? raw : fold_case(budget, raw);
  };
  const Items items = elements_of(budget, input);
  if (items.empty()) return Value::undefined("there is no item of an empty list");
  size_t best = 0;
  Value best_key = key(items[0]);
  for (size_t i = 1; i < items.size(); ++i) {
    Value next = key(items[i]);
    if (compare(budget, next, best_key) * direction <= 0) continue;
    best = i;
    best_key = std::move(next);
  }
  return items[best];
}

Value smallest(Budget& budget, const Value& input, const Arguments& arguments) {
  return extreme(budget, input, arguments, -1);
}

Value largest(Budget& budget, const Value& input, const Arguments& arguments) {
  return extreme(budget, input, arguments, 1);
}

/// Pairs of key and value.
Value dictsort(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string_view by = bound.text(1, "key");
  if (by != "key" && by != "value") fault("dictsort: expected by='key' or by='value'");
  expect_defined(input);
  if (!input.is(Kind::kDict)) fault("dictsort expects a dict, found {}", type_name(input));
  const bool case_sensitive = bound.boolean(0, false);
  const Key key = [&](const Value& pair) {
    const Value& part = pair.items()[by == "key" ? 0 : 1];
    return case_sensitive ? part : fold_case(budget, part);
  };
  Items sorted;
  const Value pairs = call_method(budget, input, "items", {});
  for (const auto& [at, pair] : ordered(budget, pairs.items(), key, bound.boolean(2, false))) {
    sorted.push_back(pair);
  }
  return budget.list(std::move(sorted));
}

/// Pairs of an attribute's value and the items that have it.
Value groupby(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const Value* const fallback = bound[1] && !bound[1]->is(Kind::kNone) ? bound[1] : nullptr;
  const bool case_sensitive = bound.boolean(2, false);
  const auto raw = [&](const Value& item) {
    return attribute_path(budget, item, *bound[0], fallback);
  };
  const Key key = [&](const Value& item) {
    return case_sensitive ? raw(item) : fold_case(budget, raw(item));
  };
  const std::vector<Entry> order = ordered(budget, elements_of(budget, input), key, false);
  Items groups;
  for (auto begin = order.begin(); begin != order.end();) {
    const auto end = std::find_if(begin, order.end(), [&](const Entry& entry) {
      return !equal(budget, entry.first, begin->first);
    });
    Items items;
    for (auto one = begin; one != end; ++one) items.push_back(one->second);
    const Value first = raw(items[0]);
    groups.push_back(Value::list_of(ListKind::kGroup, {first, budget.list(std::move(items))}));
    begin = end;
  }
  return budget.list(std::move(groups));
}

}  // namespace

Filter find_order_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> kFilters = {
      {"sort", sort},   {"unique", unique},     {"min", smallest},
      {"max", largest}, {"dictsort", dictsort}, {"groupby", groupby}};
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace evo::jinja
