// The gated activation of the feed-forward part.
#pragma once

#include "tensor/tape.h"

namespace evo {

/// silu(gate) * up, silu(x) = x * sigmoid(x). gate_up [N, 2F] holds gate | up; returns [N, F].
Tensor swiglu(Tape& tape, const Tensor& gate_up);

}  // namespace evo
