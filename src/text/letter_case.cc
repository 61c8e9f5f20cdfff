#include "text/letter_case.h"

#include <utf8proc.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "text/unicode.h"
#include "text/utf8.h"

namespace evo::text {
namespace {

constexpr uint32_t kSigma = 0x3A3, kFinalSigma = 0x3C2;

utf8proc_category_t category(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool is_cased(uint32_t c) {
  const auto lower = utf8proc_tolower(static_cast<utf8proc_int32_t>(c));
  const auto upper = utf8proc_toupper(static_cast<utf8proc_int32_t>(c));
  const auto kind = category(c);
  return kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LL ||
         kind == UTF8PROC_CATEGORY_LT || lower != upper;
}

/// Characters, and bytes that are none, which `bytes` marks.
struct Characters {
  explicit Characters(std::string_view text) {
    while (!text.empty()) {
      size_t length = 0;
      const bool valid = utf8_character_length(text) > 0;
      const uint32_t code = first_character(text, length);
      codes.push_back(valid ? code : static_cast<unsigned char>(text[0]));
      bytes.push_back(!valid);
      text.remove_prefix(length);
    }
  }
  [[nodiscard]] bool cased(size_t i) const { return !bytes[i] && is_cased(codes[i]); }

  std::vector<uint32_t> codes;
  std::vector<bool> bytes;
};

void append(uint32_t code, std::string& out) {
  utf8proc_uint8_t buffer[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), buffer);
  out.append(reinterpret_cast<const char*>(buffer), static_cast<size_t>(length));
}

/// What stands for a character where case does not matter; for letters without an upper case of
/// one character, such as ß, the letters that make it up.
std::u32string folded(uint32_t code) {
  utf8proc_int32_t buffer[4];
  int boundary = 0;
  const auto length = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), buffer, 4,
                                              UTF8PROC_CASEFOLD, &boundary);
  return {buffer, buffer + std::max<utf8proc_ssize_t>(0, length)};
}

void append_upper(uint32_t code, std::string& out) {
  const std::u32string parts = folded(code);
  if (parts.size() > 1 && category(code) != UTF8PROC_CATEGORY_LU) {
    for (const char32_t part : parts) {
      append(static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(part))), out);
    }
  } else {
    append(static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code))), out);
  }
}

void append_title(uint32_t code, std::string& out) {
  const auto title = utf8proc_totitle(static_cast<utf8proc_int32_t>(code));
  const std::u32string parts = folded(code);
  const bool spelled = (static_cast<uint32_t>(title) == code || code == 0xDF) && parts.size() > 1 &&
                       category(code) == UTF8PROC_CATEGORY_LL;
  if (!spelled) return append(static_cast<uint32_t>(title), out);
  append(static_cast<uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(parts[0]))), out);
  for (const char32_t part : parts.substr(1)) append(part, out);
}

/// Sigma has another form at the end of a word.
void append_lower(const Characters& text, size_t i, std::string& out) {
  const uint32_t code = text.codes[i];
  if (code == kSigma) {
    const bool last =
        i > 0 && text.cased(i - 1) && (i + 1 == text.codes.size() || !text.cased(i + 1));
    if (last) return append(kFinalSigma, out);
  }
  if (code == 0x130) {  // I with a dot: the only one that becomes two
    out += "i\u0307";
  } else {
    append(static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))), out);
  }
}

/// The case of ASCII, which most texts are, by one look at each byte; nothing for other texts.
std::optional<std::string> ascii_case(std::string_view text, char first, char last) {
  const auto other = [](char c) { return static_cast<unsigned char>(c) >= 0x80; };
  if (std::ranges::any_of(text, other)) return {};
  std::string out(text);
  for (char& c : out) {
    if (c >= first && c <= last) c = static_cast<char>(c ^ 0x20);
  }
  return out;
}

/// Calls one(characters, index, out) for each character; bytes that are none are kept.
template <class Fn>
std::string mapped(std::string_view text, const Fn& one) {
  const Characters characters(text);
  std::string out;
  for (size_t i = 0; i < characters.codes.size(); ++i) {
    if (characters.bytes[i]) {
      out += static_cast<char>(characters.codes[i]);
    } else {
      one(characters, i, out);
    }
  }
  return out;
}

bool is_superscript_digit(uint32_t c) {
  return c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 || (c >= 0x2074 && c <= 0x2079) ||
         (c >= 0x2080 && c <= 0x2089) || (c >= 0x2460 && c <= 0x2468) ||
         (c >= 0x2474 && c <= 0x247C) || (c >= 0x2488 && c <= 0x2490);
}

}  // namespace

std::string upper_case(std::string_view text) {
  if (auto simple = ascii_case(text, 'a', 'z')) return *std::move(simple);
  return mapped(text, [](const Characters& all, size_t i, std::string& out) {
    append_upper(all.codes[i], out);
  });
}

std::string lower_case(std::string_view text) {
  if (auto simple = ascii_case(text, 'A', 'Z')) return *std::move(simple);
  return mapped(text, append_lower);
}

std::string swapped_case(std::string_view text) {
  return mapped(text, [](const Characters& all, size_t i, std::string& out) {
    if (category(all.codes[i]) == UTF8PROC_CATEGORY_LU) {
      append_lower(all, i, out);
    } else {
      append_upper(all.codes[i], out);
    }
  });
}

std::string folded_case(std::string_view text) {
  return mapped(text, [](const Characters& all, size_t i, std::string& out) {
    for (const char32_t part : folded(all.codes[i])) append(part, out);
  });
}

std::string capitalized(std::string_view text) {
  return mapped(text, [](const Characters& all, size_t i, std::string& out) {
    if (i == 0) {
      append_title(all.codes[i], out);
    } else {
      append_lower(all, i, out);
    }
  });
}

std::string title_case(std::string_view text) {
  return mapped(text, [](const Characters& all, size_t i, std::string& out) {
    if (i > 0 && all.cased(i - 1)) {
      append_lower(all, i, out);
    } else {
      append_title(all.codes[i], out);
    }
  });
}

bool is_of_class(uint32_t character, CharacterClass wanted) {
  const auto kind = category(character);
  switch (wanted) {
    case CharacterClass::kLetter:
      return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
    case CharacterClass::kDecimal:
      return kind == UTF8PROC_CATEGORY_ND;
    case CharacterClass::kDigit:
      return kind == UTF8PROC_CATEGORY_ND || is_superscript_digit(character);
    case CharacterClass::kNumber:
      return kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL ||
             kind == UTF8PROC_CATEGORY_NO;
    case CharacterClass::kUpper:
      return kind == UTF8PROC_CATEGORY_LU;
    case CharacterClass::kLower:
      return kind == UTF8PROC_CATEGORY_LL;
    case CharacterClass::kTitle:
      return kind == UTF8PROC_CATEGORY_LT;
  }
  return false;
}

bool is_printable(uint32_t character) {
  switch (category(character)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return character == ' ';
    default:
      return true;
  }
}

}  // namespace evo::text
