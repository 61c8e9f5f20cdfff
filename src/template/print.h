// Values as text.
#pragma once

#include <string>
#include <string_view>

#include "template/budget.h"

namespace evo::jinja {

/// What `{{ value }}` prints: Python's str(), and nothing for an undefined value.
[[nodiscard]] std::string to_text(Budget& budget, const Value& value);

/// Python's repr().
[[nodiscard]] std::string to_repr(Budget& budget, const Value& value);

struct JsonStyle {
  bool ensure_ascii = false;  ///< \u escapes for all that is not ASCII
  bool sort_keys = false;
  std::string indent;  ///< of one level; empty: all on one line, unless `lines`
  bool lines = false;
  std::string_view item_separator = ", ", key_separator = ": ";
};

/// Python's json.dumps().
[[nodiscard]] std::string to_json(Budget& budget, const Value& value, const JsonStyle& style);

}  // namespace evo::jinja
