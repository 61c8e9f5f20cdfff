// What the operators of expressions do: Python's arithmetic, order and indexing.
#pragma once

#include <string_view>

#include "template/budget.h"

namespace evo::jinja {

/// + - * / // % **. Whole numbers have 64 bits; Fault where a result does not fit.
[[nodiscard]] Value apply_binary(Budget& budget, std::string_view op, const Value& a,
                                 const Value& b);
[[nodiscard]] Value negate(const Value& value);

/// < 0, 0 or > 0, for numbers, strings and lists of them.
[[nodiscard]] int compare(Budget& budget, const Value& a, const Value& b);

/// == != < <= > >= in, not in.
[[nodiscard]] bool holds(Budget& budget, std::string_view op, const Value& a, const Value& b);

/// container[key]; an undefined value if there is nothing.
[[nodiscard]] Value item_of(Budget& budget, const Value& container, const Value& key);
/// object.name: a method, an attribute or an entry; an undefined value if there is nothing.
[[nodiscard]] Value attribute_of(Budget& budget, const Value& object, std::string_view name);

/// container[begin:end:step]; none stands for what is left out.
[[nodiscard]] Value slice_of(Budget& budget, const Value& container, const Value& begin,
                             const Value& end, const Value& step);

/// A dict; where a key comes again, the later value replaces the earlier one.
[[nodiscard]] Value make_dict(Budget& budget, std::vector<Entry> entries);

/// What a loop over `value` runs through, the first `most` of it: items, keys, characters; nothing
/// if it is undefined. A generator is used up so far.
[[nodiscard]] Items elements_of(Budget& budget, const Value& value, size_t most = SIZE_MAX);

/// A string that is markup if `source` is.
[[nodiscard]] Value like(const Value& source, std::string text);
/// Markup: what Jinja's `escape` makes of a value, & < > ' and " as entities; markup stays.
[[nodiscard]] Value escaped(Budget& budget, const Value& value);

/// Python's len(); 0 for an undefined value.
[[nodiscard]] int64_t length_of(Budget& budget, const Value& value);

/// For what cannot be done to an undefined value.
void expect_defined(const Value& value);

}  // namespace evo::jinja
