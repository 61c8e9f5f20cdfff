// Oniguruma's dialect of regular expressions, which Hugging Face's files are written in, as
// PCRE2's.
#pragma once

#include <string>
#include <string_view>

namespace evo::text {

/// The expression in PCRE2's dialect, where both read the same text differently: `\s`, `\w`, sets
/// inside of sets and their intersections (`[a-z&&[^x]]`). Throws Error for what has no equal there
/// (`\h`). What is no expression at all stays so: PCRE2 says where the fault is.
std::string pcre_of_oniguruma(std::string_view source);

}  // namespace evo::text
