#include "tokenizer/steps/added_tokens.h"

#include <algorithm>

#include "base/error.h"
#include "text/unicode.h"

namespace evo::tokenizer {
namespace {

// Finding takes at most this many steps per byte of text; published tokens have a few dozen bytes.
constexpr size_t kLongestPattern = 1024;
// The tree takes up to a hundred times as much.
constexpr size_t kMostBytes = 1 << 20;

bool first_less(const std::pair<char, int32_t>& entry, char byte) {
  return entry.first < byte;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(const std::vector<Pattern>& patterns) {
  for (const auto& [text, token] : patterns) {
    if (text.empty()) continue;
    if (text.size() > kLongestPattern) {
      fail("the added token with id {} has {} bytes, but at most {} are supported", token.id,
           text.size(), kLongestPattern);
    }
    if (nodes_.size() > kMostBytes) {
      fail("the added tokens have more than {} bytes, which is not supported", kMostBytes);
    }
    int32_t node = 0;
    for (const char byte : text) {
      int32_t next = next_node(node, byte);
      if (next < 0) {
        next = static_cast<int32_t>(nodes_.size());
        auto& list = nodes_[node].next;
        list.insert(std::lower_bound(list.begin(), list.end(), byte, first_less), {byte, next});
        nodes_.emplace_back();
      }
      node = next;
    }
    nodes_[node].token = static_cast<int32_t>(tokens_.size());
    tokens_.push_back(token);
    begins_[static_cast<unsigned char>(text[0])] = true;
    (token.special ? has_special_ : has_ordinary_) = true;
  }
}

int32_t AddedTokenFinder::next_node(int32_t node, char byte) const {
  const auto& list = nodes_[node].next;
  const auto found = std::lower_bound(list.begin(), list.end(), byte, first_less);
  return found == list.end() || found->first != byte ? -1 : found->second;
}

// Length of the longest pattern that `text` begins with; 0 if there is none.
size_t AddedTokenFinder::longest(std::string_view text, int32_t& token) const {
  size_t length = 0;
  int32_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    node = next_node(node, text[i]);
    if (node < 0) break;
    if (nodes_[node].token < 0) continue;
    token = nodes_[node].token;
    length = i + 1;
  }
  return length;
}

bool AddedTokenFinder::begins_name(std::string_view text, bool special_only) const {
  int32_t node = 0;
  for (const char byte : text) {
    node = next_node(node, byte);
    if (node < 0) return false;
    const int32_t token = nodes_[node].token;
    if (token >= 0 && (tokens_[token].special || !special_only)) return true;
  }
  return false;
}

std::vector<size_t> AddedTokenFinder::beginnings(std::string_view text, bool special_only) const {
  std::vector<size_t> places;
  for (size_t at = 0; at < text.size(); ++at) {
    if (begins_[static_cast<unsigned char>(text[at])] &&
        begins_name(text.substr(at), special_only)) {
      places.push_back(at);
    }
  }
  return places;
}

void AddedTokenFinder::find(std::string_view text, bool special, std::vector<TextPart>& parts,
                            std::string_view guard) const {
  size_t done = 0;  // all before it is in `parts`
  for (size_t at = 0; at < text.size();) {
    int32_t index = -1;
    const size_t length =
        begins_[static_cast<unsigned char>(text[at])] ? longest(text.substr(at), index) : 0;
    if (length == 0) {
      ++at;
      continue;
    }
    if (!guard.empty() && text.substr(0, at).ends_with(guard)) {
      ++at;  // a shorter name, without a guard, may begin inside
      continue;
    }
    size_t begin = at, end = at + length;
    at = end;
    const AddedToken& token = tokens_[index];
    if (token.special && !special) continue;
    if (token.single_word && (text::ends_with_word_character(text.substr(0, begin)) ||
                              text::begins_with_word_character(text.substr(end)))) {
      continue;
    }
    if (token.lstrip) {
      begin -= text::trailing_white_space(text.substr(done, begin - done));
    }
    if (token.rstrip) at = end += text::leading_white_space(text.substr(end));
    if (begin > done) parts.push_back({text.substr(done, begin - done)});
    parts.push_back({text.substr(begin, end - begin), token.id});
    done = end;
  }
  if (done < text.size()) parts.push_back({text.substr(done)});
}

}  // namespace evo::tokenizer
