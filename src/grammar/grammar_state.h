// A text so far under a Grammar, token by token.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "grammar/grammar.h"
#include "grammar/token_trie.h"

namespace evo::grammar {

/// Cheap to copy. Copies share what they find out about the grammar, so a copy of an older state is
/// faster than a new one; different copies may be used by threads at the same time.
class GrammarState {
 public:
  /// Nothing is written yet.
  GrammarState(Grammar grammar, std::shared_ptr<const TokenTrie> trie);

  /// Appends a token; false: it is not allowed, and nothing has changed. Tokens that end a text
  /// change nothing either.
  [[nodiscard]] bool advance(int32_t token);

  /// Whether a token may come next. Tokens that end a text may if it is complete.
  [[nodiscard]] bool accepts(int32_t token) const;

  /// The same for all tokens: 1 or 0, never all 0. mask: [V] of the tokenizer, or of a model that
  /// has room for more; the others are 0.
  void allowed(std::span<uint8_t> mask) const;

  [[nodiscard]] bool complete() const;  ///< the text may end here
  [[nodiscard]] bool final() const;     ///< nothing but the end may follow

 private:
  struct Memory;
  struct Shared;
  [[nodiscard]] int32_t after(int32_t token) const;

  std::shared_ptr<Shared> shared_;
  std::shared_ptr<Memory> memory_;
  int32_t state_ = 0;  // of memory_'s automaton
};

}  // namespace evo::grammar
