// What the model thinks of a token that is not committed: which it would be, and how surely.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "decode/decoder.h"
#include "decode/options.h"
#include "decode/sampling/sampler.h"
#include "decode/sampling/shaper.h"

namespace evo::decode {

/// A token that could come, and what was known when it was proposed.
struct Proposal {
  int32_t token = 0;
  float maturity = 0, entropy = 0;
  float time = 1;             ///< of the evolving token that it was made from
  std::vector<int32_t> top;   ///< the likeliest tokens, with DecodeOptions::trace
  std::vector<float> latent;  ///< z [d] of that evolving token, with DecodeOptions::trace
};

/// A token of the window and what the last pass made of it.
struct EvolvingToken {
  std::vector<float> z, previous_x;  ///< [d]
  float time = 1;
  bool ripe = false;               ///< diffusion mode: its hypothesis is final
  Proposal proposal;               ///< diffusion mode: the hypothesis
  tensor::Tensor h;                ///< [1, D] of the last pass
  std::vector<float> inner_state;  ///< [R] of the inner field after this token
};

class Proposer {
 public:
  /// `decoder` and `options` must outlive the object. Throws UsageError for bad sampler options.
  Proposer(const Decoder& decoder, const DecodeOptions& options);

  /// What autoregressive logits are sampled with.
  [[nodiscard]] const Sampler& sampler() const { return sampler_; }

  /// The token of this rank, from the inner field's output o [1, D] for an evolving token.
  [[nodiscard]] Proposal of_evolving(const EvolvingToken& token, const tensor::Tensor& o,
                                     int64_t rank, const Shaper& shaper) const;
  /// From the output o [1, D] of the field ahead and its logits [1, ahead_tokens() or V].
  [[nodiscard]] Proposal of_ahead(const tensor::Tensor& o, const tensor::Tensor& logits,
                                  int64_t rank, const Shaper& shaper) const;

 private:
  struct Field {
    const Sampler& sampler;
    const tensor::Tensor& maturity_weight;
    std::span<const int32_t> tokens = {};  // of which it has logits, if not of all
  };
  [[nodiscard]] Proposal propose(const tensor::Tensor& o, const tensor::Tensor& logits,
                                 const Field& field, int64_t rank, const Shaper& shaper) const;

  const Decoder& decoder_;
  const DecodeOptions& options_;
  Sampler sampler_;
  Sampler ahead_sampler_;  // of the field ahead, surer than the model whose choice it learns
};

}  // namespace evo::decode
