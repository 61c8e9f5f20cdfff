#include "tokenizer/models/unigram.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "text/utf8.h"

namespace evo::tokenizer {
namespace {

// What an unknown character costs more than the least likely piece: SentencePiece's constant.
constexpr double kUnknownPenalty = 10;

constexpr size_t kNowhere = std::numeric_limits<size_t>::max();

// The best way that is known to a place in the text.
struct Node {
  double score = 0;
  size_t begin = kNowhere;  // of its last part
  int32_t id = 0;
};

}  // namespace

UnigramTable::UnigramTable(std::span<const UnigramPiece> pieces, double lowest_score,
                           int32_t unknown)
    : pieces_(pieces.begin(), pieces.end()),
      unknown_score_(lowest_score - kUnknownPenalty),
      unknown_(unknown) {
  std::stable_sort(pieces_.begin(), pieces_.end(),
                   [](const auto& a, const auto& b) { return a.text < b.text; });
  const auto last = std::unique(pieces_.rbegin(), pieces_.rend(),
                                [](const auto& a, const auto& b) { return a.text == b.text; });
  pieces_.erase(pieces_.begin(), last.base());
  std::erase_if(pieces_, [](const UnigramPiece& piece) { return piece.text.empty(); });
  size_t place = 0;
  for (int byte = 0; byte <= 256; ++byte) {
    while (place < pieces_.size() && static_cast<uint8_t>(pieces_[place].text[0]) < byte) ++place;
    first_[byte] = place;
  }
}

template <class Fn>
void UnigramTable::for_each_beginning(std::string_view text, const Fn& found) const {
  const auto byte_of = [](char c) { return static_cast<int>(static_cast<uint8_t>(c)); };
  auto begin = pieces_.begin() + static_cast<std::ptrdiff_t>(first_[byte_of(text[0])]);
  auto end = pieces_.begin() + static_cast<std::ptrdiff_t>(first_[byte_of(text[0]) + 1]);
  for (size_t length = 1; begin != end; ++length) {
    if (begin->text.size() == length) found(length, *begin++);
    if (length == text.size()) return;
    const int byte = byte_of(text[length]);
    const auto before = [&](const UnigramPiece& piece, int wanted) {
      return byte_of(piece.text[length]) < wanted;
    };
    begin = std::lower_bound(begin, end, byte, before);
    end = std::lower_bound(begin, end, byte + 1, before);
  }
}

std::vector<UnigramTable::Part> UnigramTable::cut(std::string_view text) const {
  std::vector<Node> nodes(text.size() + 1);  // ways that end there
  size_t character = 0;
  for (size_t at = 0; at < text.size(); at += character) {
    character = std::max<size_t>(1, text::utf8_character_length(text.substr(at)));
    const auto try_part = [&](size_t length, double score, int32_t id) {
      Node& node = nodes[at + length];
      const double total = nodes[at].score + score;
      if (node.begin == kNowhere || total > node.score) node = {total, at, id};
    };
    bool known = false;
    for_each_beginning(text.substr(at), [&](size_t length, const UnigramPiece& piece) {
      try_part(length, piece.score, piece.id);
      known |= length == character;
    });
    if (!known) try_part(character, unknown_score_, unknown_);
  }
  std::vector<Part> parts;  // from the last to the first
  for (size_t end = text.size(); end > 0; end = nodes[end].begin) {
    const Node& node = nodes[end];
    if (node.id == unknown_ && !parts.empty() && parts.back().id == unknown_) {
      parts.back().begin = node.begin;
    } else {
      parts.push_back({node.begin, end, node.id});
    }
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace evo::tokenizer
