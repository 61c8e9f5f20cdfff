#include "tokenizer/steps/text_cleaner.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "text/unicode.h"

namespace evo::tokenizer {
namespace {

// Calls fn(character, its bytes) for each.
template <class Fn>
void for_each_character(std::string_view text, const Fn& fn) {
  for (size_t length = 0; !text.empty(); text.remove_prefix(length)) {
    const uint32_t character = text::first_character(text, length);
    fn(character, text.substr(0, length));
  }
}

struct Range {
  uint32_t first, last;
};

template <size_t kCount>
bool is_in(const Range (&ranges)[kCount], uint32_t character) {
  return std::any_of(std::begin(ranges), std::end(ranges), [&](const Range& range) {
    return character >= range.first && character <= range.last;
  });
}

constexpr Range kChinese[] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF},
                              {0x2A700, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},
                              {0x2F800, 0x2FA1F}};

constexpr Range kNmtRemoved[] = {{0x01, 0x08}, {0x0B, 0x0B}, {0x0E, 0x1F},
                                 {0x7F, 0x7F}, {0x8F, 0x8F}, {0x9F, 0x9F}};

constexpr Range kNmtSpaces[] = {{0x09, 0x0A},     {0x0C, 0x0D},     {0x1680, 0x1680},
                                {0x200B, 0x200F}, {0x2028, 0x2029}, {0x2581, 0x2581},
                                {0xFEFF, 0xFEFF}, {0xFFFD, 0xFFFD}};

}  // namespace

void append_without_marks(std::string_view text, std::string& out) {
  for_each_character(text, [&](uint32_t character, std::string_view bytes) {
    if (!text::category_of(character).starts_with('M')) out += bytes;
  });
}

void append_without_accents(std::string_view text, std::string& out) {
  for_each_character(text, [&](uint32_t character, std::string_view bytes) {
    if (text::category_of(character) != "Mn") out += bytes;
  });
}

void append_clean_for_bert(std::string_view text, std::string& out) {
  for_each_character(text, [&](uint32_t character, std::string_view bytes) {
    const bool line = character == '\t' || character == '\n' || character == '\r';
    const std::string_view category = text::category_of(character);
    const bool control = category == "Cc" || category == "Cf" || category == "Co";
    if (line || (!control && text::is_white_space(character))) {
      out += ' ';
    } else if (!control && character != 0xFFFD) {
      out += bytes;
    }
  });
}

void append_spaced_chinese(std::string_view text, std::string& out) {
  for_each_character(text, [&](uint32_t character, std::string_view bytes) {
    if (is_in(kChinese, character)) {
      out.append(" ").append(bytes).append(" ");
    } else {
      out += bytes;
    }
  });
}

void append_clean_for_nmt(std::string_view text, std::string& out) {
  for_each_character(text, [&](uint32_t character, std::string_view bytes) {
    if (is_in(kNmtSpaces, character)) {
      out += ' ';
    } else if (!is_in(kNmtRemoved, character)) {
      out += bytes;
    }
  });
}

}  // namespace evo::tokenizer
