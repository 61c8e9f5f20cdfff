// Choice of a token from logits, and verification of drafts.
//
// A token is drawn from p by the Gumbel-max trick (Gumbel 1954): the token with the largest
// log p(v) + g(v) is a draw from p if the g are independent standard Gumbel numbers. Here g is a
// pure function of (seed, position, token), so the text is one fixed function of the seed. Whoever
// drafts with logits of his own but the same g tends to choose the same token, and verification is
// nothing but comparing: the text does not depend on what was drafted, not at any temperature
// (Daliri, Musco and Suresh 2024, "Coupling without communication and drafter-invariant
// speculative decoding").
#pragma once

#include <cstdint>
#include <span>

#include "decode/sampling/shaper.h"

namespace evo::decode {

struct SamplerOptions {
  double temperature = 0;  ///< 0: greedy
  int64_t top_k = 0;       ///< keep the k likeliest tokens; 0: all
  double top_p = 1;        ///< keep the smallest set with at least this probability
};

inline constexpr double kMaxTemperature = 100;

/// Throws UsageError for values out of range.
void validate(const SamplerOptions& options);

class Sampler {
 public:
  /// Throws UsageError for options out of range.
  Sampler(const SamplerOptions& options, uint64_t seed);

  /// The token at `position`, given its logits [V]: a draw from the distribution that the options
  /// make of them, independent between positions and seeds. Ties: the lower id. Throws Error if a
  /// logit is NaN. If the logits are those of some tokens only, `tokens` names them, in rising
  /// order, and the choice is as if all others were impossible.
  [[nodiscard]] int32_t choose(std::span<const float> logits, int64_t position,
                               std::span<const int32_t> tokens = {}) const;

  /// By how much `token` misses being the choice: the difference of log p + g (greedy: of log p at
  /// temperature 1), at least 0; infinite if the options exclude it.
  [[nodiscard]] double regret(std::span<const float> logits, int64_t position, int32_t token) const;

 private:
  /// The tokens that top_k and top_p leave: those above `logit`, and of those that equal it the
  /// ones up to `last`.
  struct Kept {
    float logit;
    size_t last;
    [[nodiscard]] bool has(std::span<const float> logits, size_t token) const {
      return logits[token] > logit || (logits[token] == logit && token <= last);
    }
  };
  struct Best {
    size_t index;  // into the logits
    double score;
  };
  [[nodiscard]] Kept kept(std::span<const float> logits, size_t likeliest) const;
  [[nodiscard]] Best best(std::span<const float> logits, int64_t position,
                          std::span<const int32_t> tokens) const;
  [[nodiscard]] double score(float logit, int64_t position, size_t token) const;

  SamplerOptions options_;
  uint64_t seed_;
};

struct Verdict {
  int64_t accepted = 0;  ///< length of the accepted prefix
  int32_t next = 0;      ///< the token after it: the autoregressive model's choice
};

/// Row i of logits [drafts + 1, V] is the autoregressive model's after i drafts, for the token at
/// `position` + i; `shaper` knows the tokens before the drafts. A draft is accepted if it is that
/// model's choice or, with lenience < 1, if it misses that by a factor of at most 1 / lenience in
/// probability.
Verdict verify(std::span<const int32_t> drafts, std::span<const float> logits,
               const Sampler& sampler, int64_t position, double lenience, Shaper shaper = Shaper());

}  // namespace evo::decode
