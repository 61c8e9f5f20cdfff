// Finding added tokens in text, as Hugging Face does: the leftmost, of these the longest.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

/// A part of a text: a token, or text without tokens.
struct TextPart {
  std::string_view text;
  int32_t token = -1;  ///< -1: none
};

/// May be shared by threads.
class AddedTokenFinder {
 public:
  struct Pattern {
    std::string text;
    AddedToken token{};
  };

  /// Throws Error if a pattern is too long. Patterns without text are left out.
  explicit AddedTokenFinder(const std::vector<Pattern>& patterns);

  /// Whether find() can find anything.
  bool is_needed(bool special) const { return has_ordinary_ || (special && has_special_); }

  /// Cuts `text` at the tokens; at special ones only if `special`. Where `guard` stands before it,
  /// if that is not empty, a name is none.
  void find(std::string_view text, bool special, std::vector<TextPart>& parts,
            std::string_view guard = {}) const;

  /// Where the name of a token begins in `text`; of a special one, if `special_only`. Names may
  /// overlap.
  [[nodiscard]] std::vector<size_t> beginnings(std::string_view text, bool special_only) const;

 private:
  struct Node {
    std::vector<std::pair<char, int32_t>> next;  // byte -> node, sorted
    int32_t token = -1;                          // place in tokens_
  };

  int32_t next_node(int32_t node, char byte) const;
  size_t longest(std::string_view text, int32_t& token) const;
  bool begins_name(std::string_view text, bool special_only) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);  // a tree; the first is its root
  std::vector<AddedToken> tokens_;
  bool begins_[256] = {};  // bytes that a pattern begins with
  bool has_special_ = false, has_ordinary_ = false;
};

}  // namespace evo::tokenizer
