#include "tokenizer/steps/character_map.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace evo::tokenizer {
namespace {

// A grapheme of more bytes is taken character by character.
constexpr size_t kLongestGrapheme = 5;

// The parts of a unit of Darts' double array.
uint32_t label_of(uint32_t unit) {
  return unit & (1u << 31 | 0xFF);
}
uint32_t offset_of(uint32_t unit) {
  return unit >> 10 << ((unit & 1u << 9) >> 6);
}
bool ends_text(uint32_t unit) {
  return (unit >> 8 & 1) != 0;
}
uint32_t value_of(uint32_t unit) {
  return unit & ((1u << 31) - 1);
}

}  // namespace

CharacterMap::CharacterMap(std::string_view table) {
  uint32_t size = 0;
  if (table.size() >= sizeof(size)) std::memcpy(&size, table.data(), sizeof(size));
  const bool fits = size > 0 && size % sizeof(uint32_t) == 0 && size <= table.size() - sizeof(size);
  if (!fits) {
    fail(
        "the table of characters (precompiled_charsmap) is damaged: its trie has {} bytes, the "
        "table {}",
        size, table.size());
  }
  trie_.resize(size / sizeof(uint32_t));
  std::memcpy(trie_.data(), table.data() + sizeof(size), size);
  texts_ = table.substr(sizeof(size) + size);
}

template <class Fn>
void CharacterMap::for_each_prefix(std::string_view text, const Fn& found) const {
  size_t place = offset_of(trie_[0]);
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    place ^= byte;
    if (place >= trie_.size() || label_of(trie_[place]) != byte) return;
    const uint32_t unit = trie_[place];
    place ^= offset_of(unit);
    if (place >= trie_.size()) return;
    if (!ends_text(unit)) continue;
    const size_t begin = std::min<size_t>(value_of(trie_[place]), texts_.size());
    found(i + 1, std::string_view(texts_.c_str() + begin));
  }
}

void CharacterMap::append_longest(std::string_view text, std::string& out) const {
  while (!text.empty()) {
    size_t length = 0;
    std::string_view content;
    for_each_prefix(text, [&](size_t prefix, std::string_view replacement) {
      length = prefix;
      content = replacement;
    });
    if (length == 0) {
      length = std::max<size_t>(1, text::utf8_character_length(text));
      content = text.substr(0, length);
    }
    out += content;
    text.remove_prefix(length);
  }
}

bool CharacterMap::append_shortest(std::string_view text, std::string& out) const {
  bool known = false;
  for_each_prefix(text, [&](size_t, std::string_view replacement) {
    if (!known) out += replacement;
    known = true;
  });
  return known;
}

void CharacterMap::append_graphemes(std::string_view text, std::string& out) const {
  while (!text.empty()) {
    const size_t length = text::grapheme_length(text);
    std::string_view grapheme = text.substr(0, length);
    text.remove_prefix(length);
    if (length <= kLongestGrapheme && append_shortest(grapheme, out)) continue;
    while (!grapheme.empty()) {
      const size_t character = std::max<size_t>(1, text::utf8_character_length(grapheme));
      if (!append_shortest(grapheme.substr(0, character), out)) {
        out += grapheme.substr(0, character);
      }
      grapheme.remove_prefix(character);
    }
  }
}

}  // namespace evo::tokenizer
