#include "eval/report/text.h"

#include <algorithm>
#include <cctype>

#include "plot/svg.h"
#include "text/utf8.h"

namespace evo::eval {
namespace {

/// C0, DEL and C1, as a UTF-8 character.
bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character.front());
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  return first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;
}

/// Underscores within a word are no markup; escaped, they would make names hard to read.
bool is_within_word(std::string_view text, size_t at) {
  const auto is_word = [&](size_t i) {
    const auto c = static_cast<unsigned char>(text[i]);
    return std::isalnum(c) != 0 || c >= 0x80;
  };
  return at > 0 && at + 1 < text.size() && is_word(at - 1) && is_word(at + 1);
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string line;
  while (!text.empty()) {
    const size_t length = text::utf8_character_length(text);
    const std::string_view character = text.substr(0, std::max<size_t>(length, 1));
    if (length == 0) {
      line += "\uFFFD";
    } else {
      line += is_control(character) ? " " : character;
    }
    text.remove_prefix(character.size());
  }
  return line;
}

std::string html_text(std::string_view text) {
  return plot::xml_escaped(one_line(text));
}

std::string markdown_text(std::string_view text) {
  constexpr std::string_view kMarkup = "\\`*[]|~$#";
  const std::string line = one_line(text);
  std::string result;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '<') {
      result += "&lt;";
    } else if (c == '>') {
      result += "&gt;";
    } else if (c == '&') {
      result += "&amp;";
    } else {
      const bool markup = kMarkup.find(c) != std::string_view::npos;
      if (markup || (c == '_' && !is_within_word(line, i))) result += '\\';
      result += c;
    }
  }
  return result;
}

}  // namespace evo::eval
