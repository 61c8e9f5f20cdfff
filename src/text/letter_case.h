// Upper and lower case of whole texts, as Python's str has them: with the letters that become two
// (Unicode's SpecialCasing, less what depends on a language).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace evo::text {

// Bytes that are no UTF-8 stay as they are.
[[nodiscard]] std::string upper_case(std::string_view text);
[[nodiscard]] std::string lower_case(std::string_view text);
[[nodiscard]] std::string swapped_case(std::string_view text);
/// For comparisons without regard to case.
[[nodiscard]] std::string folded_case(std::string_view text);
/// The first character as titles begin with it, the others in lower case: str.capitalize().
[[nodiscard]] std::string capitalized(std::string_view text);
/// Every run of letters so: str.title().
[[nodiscard]] std::string title_case(std::string_view text);

/// What str.isalpha() and its like ask of each character.
enum class CharacterClass { kLetter, kDecimal, kDigit, kNumber, kUpper, kLower, kTitle };
[[nodiscard]] bool is_of_class(uint32_t character, CharacterClass wanted);
/// str.isprintable(): shown as it is by repr().
[[nodiscard]] bool is_printable(uint32_t character);

}  // namespace evo::text
