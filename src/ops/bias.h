// What is added in place to the output of a linear layer.
#pragma once

#include "tensor/tape.h"

namespace evo::ops {

/// Adds bias [D] to every row of x [N, D] IN PLACE. The gradient of x passes through unchanged; the
/// bias gets its sum over rows.
void add_bias(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& bias);

/// Adds delta [M, D] to the last M rows of x [N, D] IN PLACE. The gradient of x passes through
/// unchanged; delta gets that of its rows.
void add_to_last_rows(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& delta);

}  // namespace evo::ops
