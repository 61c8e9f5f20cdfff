// The bytes of a tokenizer's tokens as a tree, so that what tokens have in common is read once.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace evo::grammar {

/// Immutable; may be shared by threads. Special tokens and tokens without bytes are not in it.
class TokenTrie {
 public:
  /// `ends`: tokens that end a text; without them, what ends the tokenizer's documents. Throws
  /// Error if a byte of UTF-8 is no token by itself: a text might come to where no token goes on.
  explicit TokenTrie(const tokenizer::Tokenizer& tokenizer, std::span<const int32_t> ends = {});

  /// Bytes of a token that can be part of a text; empty for any other.
  [[nodiscard]] std::string_view bytes(int32_t token) const;
  [[nodiscard]] bool is_end(int32_t token) const;
  [[nodiscard]] std::span<const int32_t> ends() const { return ends_; }
  [[nodiscard]] int32_t vocab_size() const { return tokenizer_.vocab_size(); }

  /// Reads all tokens from state `start`: step(state, byte) is the next state, negative if there is
  /// none; visit(token) is called for each token that is read to its end.
  template <class Step, class Visit>
  void walk(int32_t start, const Step& step, const Visit& visit) const;

 private:
  /// In the order of the tree from left to right, children behind their parent.
  struct Node {
    uint32_t depth = 0;   // 1: a token's first byte
    uint32_t end = 0;     // the first node behind those below this one
    uint32_t tokens = 0;  // place in tokens_ of the first token that ends here
    uint8_t byte = 0;
  };
  void add_tokens(std::span<const int32_t> sorted);

  tokenizer::Tokenizer tokenizer_;
  std::vector<int32_t> ends_;
  std::vector<Node> nodes_;  // and one behind the last
  std::vector<int32_t> tokens_;
  uint32_t longest_ = 0;  // bytes
};

template <class Step, class Visit>
void TokenTrie::walk(int32_t start, const Step& step, const Visit& visit) const {
  std::vector<int32_t> states(longest_ + 1);  // [depth]
  states[0] = start;
  const auto size = static_cast<uint32_t>(nodes_.size() - 1);
  for (uint32_t i = 0; i < size;) {
    const Node& node = nodes_[i];
    const int32_t state = step(states[node.depth - 1], node.byte);
    if (state < 0) {
      i = node.end;
      continue;
    }
    states[node.depth] = state;
    for (uint32_t place = node.tokens; place < nodes_[i + 1].tokens; ++place) {
      visit(tokens_[place]);
    }
    ++i;
  }
}

}  // namespace evo::grammar
