// The nonlinear functions of the feed-forward part.
#pragma once

#include "tensor/tape.h"

namespace evo::ops {

enum class Activation {
  kSilu,      ///< x sigmoid(x)
  kGelu,      ///< x Phi(x), with the distribution Phi of a normal number
  kGeluTanh,  ///< x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
};

/// f(x) [N, F] of x [N, F].
tensor::Tensor activate(tensor::Tape& tape, const tensor::Tensor& x, Activation f);

/// f(gate) * up. gate_up [N, 2F] holds gate | up; returns [N, F].
tensor::Tensor activate_gated(tensor::Tape& tape, const tensor::Tensor& gate_up, Activation f);

}  // namespace evo::ops
