// Python's two ways to put values into a text: "%5.2f" % value, and "{:>5}".format(value).
#pragma once

#include <string_view>

#include "template/builtins/builtins.h"

namespace evo::jinja {

/// `pattern` % `values`: a tuple of them, one, or a dict that %(name)s takes them from. Into markup
/// they go escaped.
[[nodiscard]] Value format_percent(Budget& budget, const Value& pattern, const Value& values);

/// pattern.format(...).
[[nodiscard]] Value format_fields(Budget& budget, const Value& pattern, const Arguments& arguments);

}  // namespace evo::jinja
