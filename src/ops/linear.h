// The linear layer, y = x W^T.
#pragma once

#include "ops/weight.h"
#include "tensor/tape.h"

namespace evo {

/// x [N, in] -> y [N, out] = x W^T. Gradients: dx = dy W, dW = dy^T x; a detached x or W gets none.
Tensor linear(Tape& tape, const Tensor& x, const Weight& weight);

}  // namespace evo
