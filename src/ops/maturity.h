// The maturity head: the probability that a drafted token is what the autoregressive model keeps.
#pragma once

#include <span>
#include <vector>

#include "tensor/tape.h"

namespace evo::ops {

struct MaturityResult {
  double loss = 0;                 ///< sum of weights * binary cross-entropy
  std::vector<float> probability;  ///< [n]
};

/// m_r = sigmoid(w . [o_r | log_pmax_r | entropy_r] + b), o [n, D], weight [D + 3] = (w, b);
/// loss = sum_r weights_r * BCE(m_r, targets_r), targets 0 or 1. No targets, no loss. On a
/// recording tape its gradient (upstream gradient one) is added to weight's and o's at once, in
/// this call, for those that want one.
MaturityResult maturity(tensor::Tape& tape, const tensor::Tensor& o,
                        std::span<const float> log_pmax, std::span<const float> entropy,
                        const tensor::Tensor& weight, std::span<const float> targets,
                        std::span<const float> weights);

}  // namespace evo::ops
