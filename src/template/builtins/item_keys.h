// What filters over lists look at in each item.
#pragma once

#include "template/builtins/builtins.h"

namespace evo::jinja {

/// item.a.b for "a.b"; numbers are indices. `fallback`, unless it is null, stands for what is not
/// there.
[[nodiscard]] Value attribute_path(Budget& budget, Value item, const Value& path,
                                   const Value* fallback = nullptr);

/// `item`, or its attribute if one is named.
[[nodiscard]] Value keyed(Budget& budget, const Value& item, const Value* path);

/// A string in lower case, another value as it is.
[[nodiscard]] Value fold_case(Budget& budget, const Value& value);

}  // namespace evo::jinja
