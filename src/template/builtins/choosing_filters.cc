// Filters that apply a filter or a test to every item of a list. They give generators, as in
// Python: each item once, and true even where there is none.
#include <unordered_map>

#include "template/builtins/builtins.h"
#include "template/builtins/item_keys.h"
#include "template/operators.h"

namespace evo::jinja {
namespace {

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

/// Nothing of none, 0 and false, too.
Items elements_or_none(Budget& budget, const Value& input) {
  return input.truthy() ? elements_of(budget, input) : Items();
}

Value map(Budget& budget, const Value& input, const Arguments& arguments) {
  Items items = elements_or_none(budget, input);
  if (arguments.positional.empty()) {
    const Bound bound("map", arguments, {"attribute", "default"});
    if (!bound[0]) fault("map expects the name of a filter, or attribute=");
    const Value* const fallback = bound[1] && !bound[1]->is(Kind::kNone) ? bound[1] : nullptr;
    for (Value& item : items) {
      item = attribute_path(budget, item, *bound[0], fallback);
    }
  } else {
    const std::string filter = name_argument("map", arguments, 0);
    const Arguments rest = without_first(arguments, 1);
    for (Value& item : items) item = apply_filter(budget, filter, item, rest);
  }
  return Value::generator(std::move(items));
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
  for (const Value& item : elements_or_none(budget, input)) {
    const Value value = by_attribute ? attribute_path(budget, item, arguments.positional[0]) : item;
    budget.spend_steps(1);
    const bool holds = has_test ? apply_test(budget, test, value, rest) : value.truthy();
    if (holds == wanted) kept.push_back(item);
  }
  return Value::generator(std::move(kept));
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

}  // namespace

Filter find_choosing_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> kFilters = {{"map", map},
                                                                        {"select", select},
                                                                        {"reject", reject},
                                                                        {"selectattr", selectattr},
                                                                        {"rejectattr", rejectattr}};
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace evo::jinja
