// Tokens any of which ends a text.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace evo::decode {

class EndTokens {
 public:
  EndTokens() = default;  ///< none: a text ends where there is no more room
  EndTokens(int32_t only) : tokens_{only} {}
  EndTokens(std::vector<int32_t> tokens) : tokens_(std::move(tokens)) {}

  [[nodiscard]] bool has(int32_t token) const {
    return std::find(tokens_.begin(), tokens_.end(), token) != tokens_.end();
  }
  /// Negative: none, as Tokenizer::end_of_text() says it.
  void add(int32_t token) {
    if (token >= 0 && !has(token)) tokens_.push_back(token);
  }
  [[nodiscard]] const std::vector<int32_t>& tokens() const { return tokens_; }

 private:
  std::vector<int32_t> tokens_;
};

}  // namespace evo::decode
