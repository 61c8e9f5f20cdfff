#include "grammar/token_trie.h"

#include <algorithm>

#include "base/error.h"

namespace evo::grammar {
namespace {

/// Whether texts in UTF-8 that people can read have it; line ends and tabs can be done without.
bool is_needed(int byte) {
  return (byte >= 0x20 && byte < 0x7F) || (byte >= 0x80 && byte < 0xC0) ||
         (byte >= 0xC2 && byte <= 0xF4);
}

}  // namespace

TokenTrie::TokenTrie(const tokenizer::Tokenizer& tokenizer, std::span<const int32_t> ends)
    : tokenizer_(tokenizer) {
  for (const int32_t end : ends) {
    if (end >= 0 && end < vocab_size() && !is_end(end)) ends_.push_back(end);
  }
  if (ends_.empty()) ends_.push_back(tokenizer.end_of_text());
  std::vector<int32_t> sorted;
  bool alone[256] = {};
  for (int32_t token = 0; token < tokenizer.vocab_size(); ++token) {
    const std::string_view text = bytes(token);
    if (!text.empty()) sorted.push_back(token);
    if (text.size() == 1) alone[static_cast<uint8_t>(text[0])] = true;
  }
  for (int byte = 0; byte < 256; ++byte) {
    if (is_needed(byte) && !alone[byte]) {
      fail(
          "the tokenizer has no token for the byte 0x{:02X} alone; a text of a given form can only "
          "be written with one that has a token for every byte of UTF-8",
          byte);
    }
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](int32_t a, int32_t b) { return bytes(a) < bytes(b); });
  add_tokens(sorted);
}

std::string_view TokenTrie::bytes(int32_t token) const {
  if (token < 0 || token >= vocab_size() || tokenizer_.is_special(token) || is_end(token)) {
    return {};
  }
  return tokenizer_.token_bytes(token);
}

bool TokenTrie::is_end(int32_t token) const {
  return std::find(ends_.begin(), ends_.end(), token) != ends_.end();
}

void TokenTrie::add_tokens(std::span<const int32_t> sorted) {
  std::vector<uint32_t> path;  // nodes from the first byte to the last of `previous`
  std::string_view previous;
  const auto leave = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back()) {
      nodes_[path.back()].end = static_cast<uint32_t>(nodes_.size());
    }
  };
  for (const int32_t token : sorted) {
    const std::string_view text = bytes(token);
    const auto parted = std::mismatch(text.begin(), text.end(), previous.begin(), previous.end());
    leave(static_cast<size_t>(parted.first - text.begin()));
    while (path.size() < text.size()) {
      const auto byte = static_cast<uint8_t>(text[path.size()]);
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({.depth = static_cast<uint32_t>(path.size()),
                        .tokens = static_cast<uint32_t>(tokens_.size()),
                        .byte = byte});
    }
    tokens_.push_back(token);
    longest_ = std::max(longest_, static_cast<uint32_t>(text.size()));
    previous = text;
  }
  leave(0);
  nodes_.push_back({.tokens = static_cast<uint32_t>(tokens_.size())});
}

}  // namespace evo::grammar
