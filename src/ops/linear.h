// The linear layer, y = x W^T.
#pragma once

#include "ops/weight.h"
#include "tensor/tape.h"

namespace evo::ops {

/// x [N, in] -> y [N, out] = x W^T. Gradients: dx = dy W, dW = dy^T x; a detached x or W gets none.
tensor::Tensor linear(tensor::Tape& tape, const tensor::Tensor& x, const Weight& weight);

}  // namespace evo::ops
