#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "base/error.h"
#include "text/utf8.h"

namespace evo::text {
namespace {

struct Free {
  void operator()(utf8proc_uint8_t* p) const { std::free(p); }
};

bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}

utf8proc_option_t options_of(NormalForm form) {
  int options = UTF8PROC_STABLE;
  const bool composed = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  options |= composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::kNfkc || form == NormalForm::kNfkd) options |= UTF8PROC_COMPAT;
  return static_cast<utf8proc_option_t>(options);
}

bool is_word_character(uint32_t c) {
  const bool circled = (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
                       (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
  if (circled || c == 0x200C || c == 0x200D) return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

// The character that `text` ends with: the last of the lengths 1 to 4 that is one.
uint32_t last_character(std::string_view text, size_t& length) {
  for (length = 1; length <= std::min<size_t>(4, text.size()); ++length) {
    const std::string_view tail = text.substr(text.size() - length);
    size_t whole = 0;
    if (utf8_character_length(tail) == length) return first_character(tail, whole);
  }
  length = std::min<size_t>(1, text.size());
  return 0xFFFD;
}

void append_character(uint32_t character, std::string& out) {
  utf8proc_uint8_t buffer[4];
  const utf8proc_ssize_t length =
      utf8proc_encode_char(static_cast<utf8proc_int32_t>(character), buffer);
  out.append(reinterpret_cast<const char*>(buffer), static_cast<size_t>(length));
}

}  // namespace

void append_normal_form(std::string_view text, NormalForm form, std::string& out) {
  for (size_t at = 0; at < text.size();) {
    size_t begin = at;
    while (begin < text.size() && is_ascii(text[begin])) ++begin;
    if (begin == text.size()) {
      out.append(text.substr(at));
      return;
    }
    // ASCII stays as it is, but a mark may join the letter before it; none joins one behind it.
    begin = std::max(at, begin > 0 ? begin - 1 : 0);
    size_t end = begin + 1;
    while (end < text.size() && !is_ascii(text[end])) ++end;
    out.append(text.substr(at, begin - at));

    utf8proc_uint8_t* mapped = nullptr;
    const utf8proc_ssize_t length =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + begin),
                     static_cast<utf8proc_ssize_t>(end - begin), &mapped, options_of(form));
    const std::unique_ptr<utf8proc_uint8_t, Free> owner(mapped);
    if (length == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
    if (length < 0) fail("text cannot be normalized: {}", utf8proc_errmsg(length));
    out.append(reinterpret_cast<const char*>(mapped), static_cast<size_t>(length));
    at = end;
  }
}

void append_lowercase(std::string_view text, std::string& out) {
  for (size_t length = 0; !text.empty(); text.remove_prefix(length)) {
    const uint32_t character = first_character(text, length);
    if (character == 0x130) {  // the only one whose lower case is two characters
      out += "i\u0307";
    } else {
      append_character(
          static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(character))), out);
    }
  }
}

uint32_t first_character(std::string_view text, size_t& length) {
  length = utf8_character_length(text);
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  if (length == 0) {
    length = std::min<size_t>(1, text.size());
    return 0xFFFD;
  }
  if (length == 1) return byte(0);
  uint32_t character = byte(0) & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) character = character << 6 | (byte(i) & 0x3F);
  return character;
}

bool is_white_space(uint32_t c) {
  if (c <= 0x20) return c == 0x20 || (c >= 0x09 && c <= 0x0D);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

std::string_view category_of(uint32_t character) {
  return utf8proc_category_string(static_cast<utf8proc_int32_t>(character));
}

size_t grapheme_length(std::string_view text) {
  utf8proc_int32_t state = 0;
  size_t at = 0, length = 0;
  for (uint32_t before = 0; at < text.size(); at += length) {
    const uint32_t character = first_character(text.substr(at), length);
    if (at > 0 &&
        utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before),
                                         static_cast<utf8proc_int32_t>(character), &state) != 0) {
      break;
    }
    before = character;
  }
  return at;
}

size_t leading_white_space(std::string_view text) {
  size_t at = 0, length = 0;
  while (at < text.size() && is_white_space(first_character(text.substr(at), length))) at += length;
  return at;
}

size_t trailing_white_space(std::string_view text) {
  size_t count = 0, length = 0;
  while (count < text.size() &&
         is_white_space(last_character(text.substr(0, text.size() - count), length))) {
    count += length;
  }
  return count;
}

bool begins_with_word_character(std::string_view text) {
  size_t length = 0;
  return !text.empty() && is_word_character(first_character(text, length));
}

bool ends_with_word_character(std::string_view text) {
  size_t length = 0;
  return !text.empty() && is_word_character(last_character(text, length));
}

}  // namespace evo::text
