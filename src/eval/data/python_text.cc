#include "eval/data/python_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"

namespace evo::eval {
namespace {

/// The character at `at` and its length in bytes; a byte that begins none is one of code -1.
struct Character {
  int32_t code = -1;
  size_t bytes = 1;
};

Character character_at(std::string_view text, size_t at) {
  Character result;
  const auto* const bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at;
  const auto room = static_cast<utf8proc_ssize_t>(text.size() - at);
  const utf8proc_ssize_t read = utf8proc_iterate(bytes, room, &result.code);
  if (read > 0) result.bytes = static_cast<size_t>(read);
  return result;
}

/// What str.isspace() is true of.
bool is_space(int32_t code) {
  if (code >= 0x2000 && code <= 0x200A) return true;
  if ((code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20)) return true;
  constexpr std::array<int32_t, 8> kOthers = {0x85,   0xA0,   0x1680, 0x2028,
                                              0x2029, 0x202F, 0x205F, 0x3000};
  return std::find(kOthers.begin(), kOthers.end(), code) != kOthers.end();
}

void append(std::string& text, int32_t code) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t count = utf8proc_encode_char(code, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(count));
}

/// Where what is no space at the ends begins and ends.
std::pair<size_t, size_t> stripped(std::string_view text) {
  size_t begin = 0, end = 0;
  bool found = false;
  for (size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    if (!is_space(character.code)) {
      if (!found) begin = at;
      found = true;
      end = at + character.bytes;
    }
    at += character.bytes;
  }
  return {begin, end};
}

}  // namespace

std::string_view strip(std::string_view text) {
  const auto [begin, end] = stripped(text);
  return text.substr(begin, end - begin);
}

std::string_view strip_end(std::string_view text) {
  return text.substr(0, stripped(text).second);
}

int64_t character_count(std::string_view text) {
  int64_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) at += character_at(text, at).bytes;
  return count;
}

std::string capitalized(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    if (character.code < 0) {
      result += text[at];
    } else {
      append(result, at == 0 ? utf8proc_totitle(character.code) : utf8proc_tolower(character.code));
    }
    at += character.bytes;
  }
  return result;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  EVO_CHECK(!from.empty());
  std::string result;
  size_t at = 0;
  for (size_t found; (found = text.find(from, at)) != std::string_view::npos;) {
    result.append(text, at, found - at).append(to);
    at = found + from.size();
  }
  return result.append(text, at);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace evo::eval
