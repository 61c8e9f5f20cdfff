// Methods of dicts and lists; and finding a method of any value.
#include <algorithm>
#include <unordered_map>

#include "template/builtins/builtins.h"
#include "template/operators.h"
#include "template/text.h"

namespace evo::jinja {
namespace {

Value dict_items(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("items", arguments, {});
  budget.spend_items(3 * self.entries().size());
  Items items;
  for (const auto& [key, value] : self.entries()) items.push_back(Value::tuple({key, value}));
  return Value::list_of(ListKind::kItemsView, std::move(items));
}

Value dict_keys(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("keys", arguments, {});
  return Value::list_of(ListKind::kKeysView, elements_of(budget, self));
}

Value dict_values(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("values", arguments, {});
  Items values;
  for (const auto& [key, value] : self.entries()) values.push_back(value);
  budget.spend_items(values.size());
  return Value::list_of(ListKind::kValuesView, std::move(values));
}

Value dict_get(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("get", arguments, {"key", "default"}, 1);
  if (!arguments.named.empty()) fault("get takes no names for its arguments");
  if (const auto found = find_key(budget, self, *bound[0])) return self.entries()[*found].second;
  return bound[1] ? *bound[1] : Value();
}

Value list_count(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"value"}, 1);
  return std::ranges::count_if(self.items(),
                               [&](const Value& one) { return equal(budget, one, *bound[0]); });
}

/// In list.index(value, start, stop) the places may be negative.
Value list_index(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("index", arguments, {"value", "start", "stop"}, 1);
  const auto size = std::ssize(self.items());
  const auto place = [&](size_t index, int64_t usual) {
    const int64_t given = bound.integer(index, usual);
    return std::clamp<int64_t>(given < 0 ? given + size : given, 0, size);
  };
  for (int64_t i = place(1, 0), end = place(2, size); i < end; ++i) {
    if (equal(budget, self.items()[static_cast<size_t>(i)], *bound[0])) return i;
  }
  fault("index: the {} does not have this item", type_name(self));
}

/// Nothing can change a value here.
Value copy(Budget&, const Value& self, const Arguments& arguments) {
  const Bound bound("copy", arguments, {});
  return self;
}

const Methods& methods_of(const Value& value) {
  static const Methods kDict = {{"items", dict_items},
                                {"keys", dict_keys},
                                {"values", dict_values},
                                {"get", dict_get},
                                {"copy", copy}};
  static const Methods kTuple = {{"count", list_count}, {"index", list_index}};
  static const Methods kList = {{"count", list_count}, {"index", list_index}, {"copy", copy}};
  static const Methods kNone;
  if (value.is(Kind::kString)) return text_methods();
  if (value.is(Kind::kDict)) return kDict;
  return value.is_tuple() ? kTuple : value.is_indexed() ? kList : kNone;
}

}  // namespace

bool has_method(const Value& value, std::string_view name) {
  return methods_of(value).contains(name);
}

Value call_method(Budget& budget, const Value& receiver, std::string_view name,
                  const Arguments& arguments) {
  const Methods& methods = methods_of(receiver);
  const auto found = methods.find(name);
  EVO_CHECK(found != methods.end());
  budget.spend_steps(1);
  return found->second(budget, receiver, arguments);
}

}  // namespace evo::jinja
