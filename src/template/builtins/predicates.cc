// The tests of `value is test`.
#include <unordered_map>

#include "template/builtins/builtins.h"
#include "template/operators.h"
#include "template/text.h"

namespace evo::jinja {
namespace {

using Predicate = bool (*)(const Value& value);

template <Kind kKind>
bool is_kind(const Value& value) {
  return value.is(kKind);
}

// An undefined value is an empty list, as far as Jinja's tests see.
bool is_iterable(const Value& value) {
  return value.is(Kind::kString) || value.is(Kind::kList) || value.is(Kind::kDict) ||
         value.is(Kind::kUndefined);
}

bool is_defined(const Value& value) {
  return !value.is(Kind::kUndefined);
}

bool is_number(const Value& value) {
  return value.is_number();
}

bool is_true(const Value& value) {
  return value.is(Kind::kBool) && value.boolean();
}

bool is_false(const Value& value) {
  return value.is(Kind::kBool) && !value.boolean();
}

int64_t whole(const Value& value) {
  expect_defined(value);
  const auto number = value.as_int();
  if (!number) fault("expected a whole number, found {}", type_name(value));
  return *number;
}

bool is_odd(const Value& value) {
  return whole(value) % 2 != 0;
}

bool is_even(const Value& value) {
  return whole(value) % 2 == 0;
}

const std::unordered_map<std::string_view, Predicate>& predicates() {
  static const std::unordered_map<std::string_view, Predicate> kPredicates = {
      {"defined", is_defined},
      {"undefined", is_kind<Kind::kUndefined>},
      {"none", is_kind<Kind::kNone>},
      {"string", is_kind<Kind::kString>},
      {"number", is_number},
      {"integer", is_kind<Kind::kInt>},
      {"float", is_kind<Kind::kFloat>},
      {"boolean", is_kind<Kind::kBool>},
      {"mapping", is_kind<Kind::kDict>},
      {"callable", is_kind<Kind::kCallable>},
      {"sequence", is_iterable},
      {"iterable", is_iterable},
      {"true", is_true},
      {"false", is_false},
      {"odd", is_odd},
      {"even", is_even}};
  return kPredicates;
}

/// The comparison that a test with an argument makes; empty if it is none.
std::string_view comparison_of(std::string_view name) {
  static const std::unordered_map<std::string_view, std::string_view> kComparisons = {
      {"equalto", "=="},    {"eq", "=="}, {"==", "=="}, {"ne", "!="},
      {"!=", "!="},         {"in", "in"}, {"lt", "<"},  {"lessthan", "<"},
      {"<", "<"},           {"le", "<="}, {"<=", "<="}, {"gt", ">"},
      {"greaterthan", ">"}, {">", ">"},   {"ge", ">="}, {">=", ">="}};
  const auto found = kComparisons.find(name);
  return found == kComparisons.end() ? "" : found->second;
}

}  // namespace

bool apply_test(Budget& budget, std::string_view name, const Value& value,
                const Arguments& arguments) {
  budget.spend_steps(1);
  if (const auto found = predicates().find(name); found != predicates().end()) {
    const Bound bound(name, arguments, {});
    return found->second(value);
  }
  if (const std::string_view op = comparison_of(name); !op.empty()) {
    const Bound bound(name, arguments, {"other"}, 1);
    return holds(budget, op, value, *bound[0]);
  }
  if (name == "divisibleby") {
    const Bound bound(name, arguments, {"num"}, 1);
    return apply_binary(budget, "%", whole(value), whole(*bound[0])).as_int() == 0;
  }
  fault("there is no test '{}'", name);
}

}  // namespace evo::jinja
