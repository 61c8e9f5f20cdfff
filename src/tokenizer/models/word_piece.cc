#include "tokenizer/models/word_piece.h"

#include <algorithm>

#include "text/utf8.h"

namespace evo::tokenizer {
namespace {

bool begins_character(char byte) {
  return (static_cast<uint8_t>(byte) & 0xC0) != 0x80;
}

}  // namespace

void WordPieceTable::encode_append(std::string_view word, std::vector<int32_t>& out) const {
  const size_t before = out.size();
  const auto give_up = [&] {
    out.resize(before);
    out.push_back(unknown);
  };
  const auto characters = std::count_if(word.begin(), word.end(), begins_character);
  if (static_cast<size_t>(characters) > longest_word) {
    give_up();
    return;
  }
  std::string name;
  for (size_t begin = 0, end = 0; begin < word.size(); begin = end) {
    auto found = ids.end();
    for (end = word.size(); end > begin && found == ids.end();) {
      name.assign(begin > 0 ? continuation : "").append(word.substr(begin, end - begin));
      found = ids.find(name);
      if (found != ids.end()) break;
      do {
        --end;
      } while (end > begin && !begins_character(word[end]));
    }
    if (found == ids.end()) {
      give_up();
      return;
    }
    out.push_back(found->second);
  }
}

}  // namespace evo::tokenizer
