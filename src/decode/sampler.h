// From logits to a distribution to draw from, and the verification of drafts against it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"

namespace evo {

struct SamplerOptions {
  double temperature = 0;  ///< 0: greedy
  int64_t top_k = 0;       ///< keep the k likeliest tokens; 0: all
  double top_p = 1;        ///< keep the smallest set with at least this probability
};

/// Throws UsageError for values out of range.
void validate(const SamplerOptions& options);

/// The distribution [V] that the options make of logits [V]; greedy is a point mass. Ties: the
/// lower id first. Throws Error if a logit is NaN.
std::vector<float> distribution(std::span<const float> logits, const SamplerOptions& options);

/// A draft: a token and the distribution that it was drawn from, chosen before the draw was known.
struct Draft {
  int32_t token = 0;
  std::vector<float> q;  ///< [V]
};

struct Verdict {
  int64_t accepted = 0;  ///< length of the accepted prefix
  int32_t next = 0;      ///< the token after it, from the autoregressive distribution
};

/// Speculative sampling (Leviathan et al. 2023, Chen et al. 2023). Row i of logits [drafts + 1, V]
/// is the autoregressive model's after i drafts. Draft w is accepted with probability min(1, p(w) /
/// (lenience q(w))); at the first rejection the next token is drawn from (p / lenience - q)+,
/// normalised. lenience 1 gives p's distribution exactly; below 1, no token becomes more than 1 /
/// lenience times as probable as under p. Greedy with lenience < 1: w is accepted if its
/// probability at temperature 1 is at least lenience times the largest.
Verdict verify(std::span<const Draft> drafts, std::span<const float> logits,
               const SamplerOptions& options, double lenience, Random& random);

}  // namespace evo
