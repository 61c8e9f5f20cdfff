// Norms and residual addition, all with the time modulation of evolving rows.
#pragma once

#include "tensor/tape.h"

namespace evo::ops {

/// RMSNorm with time modulation: y = x / sqrt(mean(x^2) + eps) * weight * (1 + s).
/// x [N, D], weight [D]; returns [N, D]. `modulation` [Ne, M] (an undefined Tensor = none) applies
/// to the LAST Ne rows of x, with s = modulation[:, scale_column .. scale_column + D).
tensor::Tensor norm_modulate(tensor::Tape& tape, const tensor::Tensor& x,
                             const tensor::Tensor& weight, const tensor::Tensor& modulation,
                             int64_t scale_column, float eps);

/// LayerNorm likewise: y = ((x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * weight + bias) *
/// (1 + s). bias [D].
tensor::Tensor layer_norm(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& weight,
                          const tensor::Tensor& bias, const tensor::Tensor& modulation,
                          int64_t scale_column, float eps);

/// Residual: x + (1 + g) * branch on the last Ne rows, with
/// g = modulation[:, gate_column .. gate_column + D), and x + branch on the others.
/// x, branch and the result are [N, D].
tensor::Tensor add_gated(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& branch,
                         const tensor::Tensor& modulation, int64_t gate_column);

}  // namespace evo::ops
