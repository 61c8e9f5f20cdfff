#include "template/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "text/utf8.h"

namespace evo::jinja {
namespace {

/// Length of the last character of a text that is not empty.
size_t last_length(std::string_view text) {
  for (size_t length = 1; length <= std::min<size_t>(4, text.size()); ++length) {
    if (text::utf8_character_length(text.substr(text.size() - length)) == length) return length;
  }
  return 1;
}

template <class Predicate>
std::string_view strip_if(std::string_view text, Side side, const Predicate& goes) {
  if (side != Side::kRight) {
    while (!text.empty() && goes(first_character(text))) {
      text.remove_prefix(first_character(text).size());
    }
  }
  if (side != Side::kLeft) {
    while (!text.empty() && goes(text.substr(text.size() - last_length(text)))) {
      text.remove_suffix(last_length(text));
    }
  }
  return text;
}

bool is_line_end(std::string_view character) {
  constexpr std::string_view kEnds = "\n\r\v\f\x1c\x1d\x1e";
  if (character.size() == 1) return kEnds.find(character[0]) != std::string_view::npos;
  return character == "\u0085" || character == "\u2028" || character == "\u2029";
}

}  // namespace

std::string_view first_character(std::string_view text) {
  return text.substr(0, std::max<size_t>(1, text::utf8_character_length(text)));
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> result;
  while (!text.empty()) {
    result.push_back(first_character(text));
    text.remove_prefix(result.back().size());
  }
  return result;
}

size_t count_characters(std::string_view text) {
  size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(first_character(text).size());
  return count;
}

bool is_space(std::string_view character) {
  if (character.size() == 1) {
    const char c = character[0];
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
  }
  if (character >= "\u2000" && character <= "\u200a" && character.size() == 3) return true;
  constexpr std::string_view kSpaces[] = {"\u0085", "\u00a0", "\u1680", "\u2028",
                                          "\u2029", "\u202f", "\u205f", "\u3000"};
  return std::ranges::find(kSpaces, character) != std::end(kSpaces);
}

std::string_view strip(std::string_view text, Side side) {
  return strip_if(text, side, is_space);
}

std::string_view strip(std::string_view text, Side side, std::string_view set) {
  const std::vector<std::string_view> unwanted = characters(set);
  return strip_if(text, side, [&](std::string_view character) {
    return std::ranges::find(unwanted, character) != unwanted.end();
  });
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string_view character = first_character(text.substr(at));
    const size_t end = at;
    at += character.size();
    if (!is_line_end(character)) continue;
    if (character == "\r" && text.substr(at).starts_with('\n')) ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

size_t find_text(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  // glibc's is linear; std::string_view::find is not.
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t count_text(std::string_view text, std::string_view part) {
  EVO_CHECK(!part.empty());
  size_t count = 0;
  for (size_t at = 0; (at = find_text(text, part, at)) != std::string_view::npos; ++count) {
    at += part.size();
  }
  return count;
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  // Python writes the shortest digits that give the number back, and takes an exponent for
  // numbers from 1e16 on and below 1e-4.
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  char digits[64];
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto end = std::to_chars(std::begin(digits), std::end(digits), value, format);
  std::string text(digits, end.ptr);
  if (plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

}  // namespace evo::jinja
