#include "base/terminal/text_width.h"

#include <utf8proc.h>

namespace evo {
namespace {

constexpr std::string_view kReplacement = "\uFFFD";

bool is_control(utf8proc_category_t category) {
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

/// Characters that change how wide their neighbours are, or whose width depends on how new a
/// terminal's tables are.
bool is_disputed(utf8proc_int32_t code, utf8proc_category_t category) {
  const auto within = [&](utf8proc_int32_t first, utf8proc_int32_t last) {
    return code >= first && code <= last;
  };
  return category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_CO || category == UTF8PROC_CATEGORY_CN ||
         within(0x1160, 0x11FF) ||    // parts of Korean syllables
         within(0xFE00, 0xFE0F) ||    // variation selectors: text or emoji
         within(0x1F1E6, 0x1F1FF) ||  // flags are pairs of these
         within(0x1F3FB, 0x1F3FF);    // skin tones
}

}  // namespace

TerminalCharacter first_character(std::string_view text) {
  if (text.empty()) return {};
  const auto first = static_cast<unsigned char>(text[0]);
  if (first >= ' ' && first < 0x7F) return {1, std::string(1, text[0]), 1, false};
  utf8proc_int32_t code = 0;
  const utf8proc_ssize_t bytes =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                       static_cast<utf8proc_ssize_t>(text.size()), &code);
  if (bytes <= 0) return {1, std::string(kReplacement), 1, false};
  const auto size = static_cast<size_t>(bytes);
  const utf8proc_category_t category = utf8proc_category(code);
  if (is_control(category)) return {size, ".", 1, false};
  return {size, std::string(text.substr(0, size)), utf8proc_charwidth(code),
          is_disputed(code, category)};
}

std::string printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const TerminalCharacter character = first_character(text);
    result += character.shown;
    text.remove_prefix(character.bytes);
  }
  return result;
}

size_t text_columns(std::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    const TerminalCharacter character = first_character(text);
    columns += static_cast<size_t>(character.columns);
    text.remove_prefix(character.bytes);
  }
  return columns;
}

std::string fitting(std::string_view text, size_t columns) {
  std::string result;
  while (!text.empty()) {
    const TerminalCharacter character = first_character(text);
    const auto needed = static_cast<size_t>(character.columns);
    if (needed > columns) break;
    columns -= needed;
    result += character.shown;
    text.remove_prefix(character.bytes);
  }
  return result;
}

}  // namespace evo
