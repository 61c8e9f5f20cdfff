// The nonlinear functions on rows of numbers.
#pragma once

#include <cstdint>

#include "ops/activation.h"

namespace evo::ops {

/// out = f(gate) * up. `out` may be one of the inputs.
void activate_gated_row(Activation f, const float* gate, const float* up, int64_t n, float* out);

/// Gradients of that: dgate = dout * up * f'(gate), dup = dout * f(gate). They may be written over
/// gate and up.
void activate_gated_row_backward(Activation f, const float* gate, const float* up,
                                 const float* dout, int64_t n, float* dgate, float* dup);

}  // namespace evo::ops
