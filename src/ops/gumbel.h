// Gumbel noise of tokens, and which of them it can make the choice (see decode/sampling/sampler.h).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace evo::ops {

/// Noise of all tokens for one choice: token v has word v % 4 of Philox's block v / 4.
struct GumbelNoise {
  std::array<uint32_t, 2> key;
  uint64_t stream;

  [[nodiscard]] uint32_t bits(int64_t token) const;
};

/// Standard Gumbel number -log(-log u), u = (bits + 1/2) / 2^32: between -3.2 and 22.9.
double gumbel(uint32_t bits);

struct GumbelCandidate {
  int64_t index;
  uint32_t bits;
};

/// In rising order, every index i for which logits[i] / temperature + gumbel(its bits) >= score,
/// and a few others that come near. The logits are of the tokens 0, 1 ..., or of `tokens` if that
/// is not empty; none is NaN. Noise is drawn in vectors, and only where the largest there is would
/// do.
std::vector<GumbelCandidate> gumbel_candidates(const GumbelNoise& noise,
                                               std::span<const float> logits,
                                               std::span<const int32_t> tokens, double temperature,
                                               double score);

}  // namespace evo::ops
