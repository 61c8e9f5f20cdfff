// What text processing needs of Unicode (utf8proc: an eighth of ICU's size, the same tables).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace evo::text {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

/// Appends `text`, which must be valid UTF-8, in a normal form.
void append_normal_form(std::string_view text, NormalForm form, std::string& out);

/// Appends valid UTF-8 with each character in lower case, whatever stands around it.
void append_lowercase(std::string_view text, std::string& out);

/// The character that `text` begins with, or U+FFFD if it begins with none; its length in bytes is
/// `length`, at least 1 unless `text` is empty.
uint32_t first_character(std::string_view text, size_t& length);

/// Unicode's general category of a character, "Lu" for a capital letter.
std::string_view category_of(uint32_t character);

/// Bytes of the grapheme, what people take for a character, that valid UTF-8 begins with: a letter
/// with its marks, a flag, a line end of two characters. 0 for an empty text.
size_t grapheme_length(std::string_view text);

/// Whether a character has the Unicode property White_Space.
bool is_white_space(uint32_t character);

/// Bytes of the white space (Unicode property White_Space) that `text` begins or ends with.
size_t leading_white_space(std::string_view text);
size_t trailing_white_space(std::string_view text);

/// Whether `text` begins or ends with a letter, mark, digit or connector: `\w`.
bool begins_with_word_character(std::string_view text);
bool ends_with_word_character(std::string_view text);

}  // namespace evo::text
