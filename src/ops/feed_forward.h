// The feed-forward part of a layer as one operation, where that is faster than its parts.
#pragma once

#include "ops/activation.h"
#include "ops/weight.h"

namespace evo::ops {

/// x [N, D] -> (f(x G^T) * (x U^T)) W^T [N, out], with gate_up [2F, D] of G above U and down
/// [out, F]. Undefined if the backend has no better way to compute it on this tape than linear(),
/// activate_gated() and linear(). Products are in the tape's precision; what the backward pass
/// needs of x G^T and x U^T may be kept rounded to it.
tensor::Tensor fused_feed_forward(tensor::Tape& tape, const tensor::Tensor& x,
                                  const Weight& gate_up, const Weight& down, Activation f);

}  // namespace evo::ops
