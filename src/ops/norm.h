// Norms and residual addition, all with the time modulation of evolving rows.
#pragma once

#include "tensor/tape.h"

namespace evo {

/// RMSNorm with time modulation: y = x / sqrt(mean(x^2) + eps) * weight * (1 + s).
/// x [N, D], weight [D]; returns [N, D]. `modulation` [Ne, M] (an undefined Tensor = none) applies
/// to the LAST Ne rows of x, with s = modulation[:, scale_column .. scale_column + D).
Tensor norm_modulate(Tape& tape, const Tensor& x, const Tensor& weight, const Tensor& modulation,
                     int64_t scale_column, float eps);

/// LayerNorm likewise: y = ((x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * weight + bias) *
/// (1 + s). bias [D].
Tensor layer_norm(Tape& tape, const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const Tensor& modulation, int64_t scale_column, float eps);

/// Residual: x + (1 + g) * branch on the last Ne rows, with
/// g = modulation[:, gate_column .. gate_column + D), and x + branch on the others.
/// x, branch and the result are [N, D].
Tensor add_gated(Tape& tape, const Tensor& x, const Tensor& branch, const Tensor& modulation,
                 int64_t gate_column);

}  // namespace evo
