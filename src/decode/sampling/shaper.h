// What is done to logits before a token is chosen, besides sampling: biases, penalties, a grammar.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "grammar/grammar_state.h"

namespace evo::decode {

/// Of a token that cannot come next. Finite, so that sums of such logits times probabilities are
/// numbers.
inline constexpr float kNeverLogit = -1e30f;

inline constexpr double kMaxRepetitionPenalty = 100;

struct ShapeOptions {
  std::vector<std::pair<int32_t, float>> bias;  ///< of single tokens, added to their logits
  /// Taken from the logits of tokens that were generated already: once, and per occurrence.
  double presence_penalty = 0, frequency_penalty = 0;
  /// Of tokens that are in the prompt or were generated already: positive logits are divided by it,
  /// negative ones multiplied (Keskar et al. 2019, "CTRL"), as transformers does. 1: nothing.
  double repetition_penalty = 1;
  /// Of a text that must be so; not in diffusion mode, where tokens ripen in any order.
  std::optional<grammar::GrammarState> grammar = {};
};

/// The shape of the next token's logits, as a function of the tokens before it and of nothing else:
/// so drafts can be verified under the logits that `ar` mode would have used.
class Shaper {
 public:
  Shaper() = default;
  /// `prompt`: the tokens before those that advance() tells of.
  explicit Shaper(ShapeOptions options, std::span<const int32_t> prompt = {});

  /// shape() changes nothing, whatever was generated.
  [[nodiscard]] bool is_idle() const {
    return options_.bias.empty() && !penalizes() && !options_.grammar;
  }
  /// The text is as the grammar wants it, and nothing can follow.
  [[nodiscard]] bool is_final() const { return options_.grammar && options_.grammar->final(); }

  /// The logits [V] of the next token: `logits` themselves if is_idle(), else changed in `storage`.
  /// Throws Error for a bias of a token outside of them.
  std::span<const float> shape(std::span<const float> logits, std::vector<float>& storage) const;
  /// `token` was generated. Throws Error if the grammar does not allow it.
  void advance(int32_t token);

 private:
  [[nodiscard]] bool penalizes() const {
    return options_.presence_penalty != 0 || options_.frequency_penalty != 0 ||
           options_.repetition_penalty != 1;
  }

  ShapeOptions options_;
  std::shared_ptr<const std::vector<int32_t>> prompt_;  // its tokens in rising order, each once
  std::map<int32_t, int64_t> counts_;                   // of generated ones
};

}  // namespace evo::decode
