// The gated activation of the feed-forward part.
#pragma once

#include "tensor/tape.h"

namespace evo::ops {

/// silu(gate) * up, silu(x) = x * sigmoid(x). gate_up [N, 2F] holds gate | up; returns [N, F].
tensor::Tensor swiglu(tensor::Tape& tape, const tensor::Tensor& gate_up);

}  // namespace evo::ops
