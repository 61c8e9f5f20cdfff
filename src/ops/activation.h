// The nonlinear functions of the feed-forward part.
#pragma once

#include "tensor/tape.h"

namespace evo {

enum class Activation {
  kSilu,      ///< x sigmoid(x)
  kGelu,      ///< x Phi(x), with the distribution Phi of a normal number
  kGeluTanh,  ///< x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
};

/// f(x) [N, F] of x [N, F].
Tensor activate(Tape& tape, const Tensor& x, Activation f);

/// f(gate) * up. gate_up [N, 2F] holds gate | up; returns [N, F].
Tensor activate_gated(Tape& tape, const Tensor& gate_up, Activation f);

}  // namespace evo
