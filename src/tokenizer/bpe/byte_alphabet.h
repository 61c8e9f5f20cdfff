// GPT-2's way to write any bytes as printable text, used for the tokens in tokenizer.json: the 188
// printable Latin-1 characters stand for themselves, the other bytes, in order, for U+0100 onwards.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace evo::tokenizer {

/// UTF-8 text of one character per byte.
std::string to_byte_alphabet(std::string_view bytes);

/// The inverse; nothing if `text` has a character outside the alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view text);

}  // namespace evo::tokenizer
