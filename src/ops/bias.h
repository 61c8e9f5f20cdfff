// What is added in place to the output of a linear layer.
#pragma once

#include "tensor/tape.h"

namespace evo {

/// Adds bias [D] to every row of x [N, D] IN PLACE. The gradient of x passes through unchanged; the
/// bias gets its sum over rows.
void add_bias(Tape& tape, const Tensor& x, const Tensor& bias);

/// Adds delta [M, D] to the last M rows of x [N, D] IN PLACE. The gradient of x passes through
/// unchanged; delta gets that of its rows.
void add_to_last_rows(Tape& tape, const Tensor& x, const Tensor& delta);

}  // namespace evo
