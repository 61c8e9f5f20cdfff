// The head: unembedding, cross-entropy and the posterior over tokens, a few rows at a time, so that
// the logits [n, V] of a whole batch never exist.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "ops/linear.h"
#include "tensor/tape.h"

namespace evo::ops {

/// U [V, D] and what is done to its products.
struct Unembedding : Weight {
  Unembedding() = default;
  Unembedding(Weight weight, float logit_cap = 0) : Weight(std::move(weight)), cap(logit_cap) {}

  float cap = 0;  ///< a logit l of U h becomes cap tanh(l / cap); 0: it stays
};

/// What the latent z says about the token: adds kappa z . c(v) to logit v.
struct PosteriorTerm {
  tensor::Tensor z;              ///< [n, d]
  std::span<const float> kappa;  ///< [n] sqrt(a) / (1 - a)
  tensor::Tensor codes;          ///< [V, d] normalised codes
};

/// What training wants from the head.
struct HeadLosses {
  /// Which loss shapes the codes through the posterior: none; the cross-entropy, through the
  /// logits; or the squared error |c(target) - x|^2, through c(target), x and p (then the
  /// cross-entropy gives the codes none, and the squared error gives the network and z none).
  enum class CodeGradient { kNone, kCrossEntropy, kSquaredError };

  std::span<const int32_t> targets;  ///< [n]; entries of ignored rows are not read
  std::span<const float> weights;    ///< [n] d loss / d nll_r; 0 = row ignored
  CodeGradient code_gradient = CodeGradient::kNone;
  std::span<const float> squared_weights =
      {};  ///< [n] d loss / d |c(target) - x|^2, kSquaredError only
};

struct HeadResult {
  double loss = 0;                   ///< sum of weights * nll
  std::vector<float> nll;            ///< [n] -log p(target); 0 without losses and in ignored rows
  std::vector<float> log_pmax;       ///< [n] log of the largest probability
  std::vector<float> entropy;        ///< [n] of p, nats
  std::vector<float> squared_error;  ///< [n] |c(target) - x|^2; 0 without term, target or weight
  std::vector<int32_t> argmax;       ///< [n] lowest index of the largest logit; NaN rows give 0
  tensor::Tensor mean_code;          ///< x = sum_v p(v) c(v), [n, d], without gradient; if term
};

/// Softmax statistics and losses of logits_v = U_v h_r + kappa_r z_r . c(v) for the n = `rows` rows
/// r of h [N, D] from `row_begin` on; U = unembed.value [V, D], and only U_v h_r is capped. `term`
/// and `losses` may be null.
///
/// On a recording tape with `losses`, the gradient of sum weights * nll goes to h, U, z and codes
/// (each if it wants one; see CodeGradient), taking the upstream gradient of the loss as one. It is
/// added at once, in this call, so parameters' gradients must be zeroed before the forward pass. A
/// NaN logit makes its row's nll, entropy, log_pmax and the loss NaN.
HeadResult head(tensor::Tape& tape, const tensor::Tensor& h, int64_t row_begin, int64_t rows,
                const Unembedding& unembed, const PosteriorTerm* term, const HeadLosses* losses);

/// The logits themselves, [rows, V], without gradient: for decoding.
tensor::Tensor head_logits(tensor::Tape& tape, const tensor::Tensor& h, int64_t row_begin,
                           int64_t rows, const Unembedding& unembed, const PosteriorTerm* term);

}  // namespace evo::ops
