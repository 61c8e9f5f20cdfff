// Finding the parts of a byte string that are valid UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace evo::text {

/// Length in bytes of the UTF-8 character that `text` begins with; 0 if it begins with none. Over-
/// long forms, surrogates and what lies above U+10FFFF are not characters (Unicode table 3-7).
size_t utf8_character_length(std::string_view text);

/// Length of the longest prefix that is valid UTF-8.
size_t valid_utf8_prefix(std::string_view text);

/// Length of the longest prefix at no byte of which a character begins.
size_t invalid_utf8_prefix(std::string_view text);

/// Bytes at the end of `text` that begin a UTF-8 character which is not complete yet.
size_t incomplete_utf8_suffix(std::string_view text);

}  // namespace evo::text
