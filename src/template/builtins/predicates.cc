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

// Undefined values can be called, as far as Python knows: that fails.
bool is_callable(const Value& value) {
  return value.is(Kind::kCallable) || value.is(Kind::kUndefined);
}

bool is_sequence(const Value& value) {
  return value.is(Kind::kString) || value.is_indexed() || value.is(Kind::kDict) ||
         value.is(Kind::kUndefined);
}

bool is_markup(const Value& value) {
  return value.is_markup();
}

bool names_filter(const Value& value) {
  return value.is(Kind::kString) && find_filter(value.text()) != nullptr;
}

bool names_test(const Value& value) {
  return value.is(Kind::kString) && has_test(value.text());
}

/// value % divisor == rest, of numbers.
bool leaves(Budget& budget, const Value& value, const Value& divisor, int64_t rest) {
  expect_defined(value);
  if (!value.is_number()) fault("expected a number, found {}", type_name(value));
  return equal(budget, apply_binary(budget, "%", value, divisor), Value(rest));
}

/// What str() makes of it has a letter of this case and none of the other.
bool has_case(Budget& budget, const Value& value, std::string_view method) {
  return call_method(budget, Value(input_text(budget, value)), method, {}).boolean();
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
      {"callable", is_callable},
      {"sequence", is_sequence},
      {"escaped", is_markup},
      {"filter", names_filter},
      {"test", names_test},
      {"iterable", is_iterable},
      {"true", is_true},
      {"false", is_false}};
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

using Test = bool (*)(Budget& budget, const Value& value, const Arguments& arguments);

/// Those that take more than a look.
const std::unordered_map<std::string_view, Test>& other_tests() {
  static const std::unordered_map<std::string_view, Test> kTests = {
      {"odd",
       [](Budget& budget, const Value& value, const Arguments& arguments) {
         const Bound bound("odd", arguments, {});
         return leaves(budget, value, Value(int64_t{2}), 1);
       }},
      {"even",
       [](Budget& budget, const Value& value, const Arguments& arguments) {
         const Bound bound("even", arguments, {});
         return leaves(budget, value, Value(int64_t{2}), 0);
       }},
      {"divisibleby",
       [](Budget& budget, const Value& value, const Arguments& arguments) {
         const Bound bound("divisibleby", arguments, {"num"}, 1);
         return leaves(budget, value, *bound[0], 0);
       }},
      {"lower",
       [](Budget& budget, const Value& value, const Arguments& arguments) {
         const Bound bound("lower", arguments, {});
         return has_case(budget, value, "islower");
       }},
      {"upper",
       [](Budget& budget, const Value& value, const Arguments& arguments) {
         const Bound bound("upper", arguments, {});
         return has_case(budget, value, "isupper");
       }},
      {"sameas", [](Budget&, const Value& value, const Arguments& arguments) {
         const Bound bound("sameas", arguments, {"other"}, 1);
         return value.is_same(*bound[0]);
       }}};
  return kTests;
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
  const auto found = other_tests().find(name);
  if (found == other_tests().end()) fault("there is no test '{}'", name);
  return found->second(budget, value, arguments);
}

bool has_test(std::string_view name) {
  return predicates().contains(name) || !comparison_of(name).empty() ||
         other_tests().contains(name);
}

}  // namespace evo::jinja
