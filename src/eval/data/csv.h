// Comma-separated values as Python's csv module reads them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace evo::eval {

struct CsvRow {
  int64_t line = 0;  ///< that it begins in, from 1
  std::vector<std::string> fields;
};

/// Fields may be quoted, hold commas and newlines then, and a quote as two. Empty lines are no
/// rows. Throws Error, naming `source` and the line, if a quoted field does not end.
[[nodiscard]] std::vector<CsvRow> parse_csv(std::string_view text, std::string_view source);

}  // namespace evo::eval
