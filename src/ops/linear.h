// The linear layer, y = x W^T.
#pragma once

#include <memory>

#include "ops/matmul.h"
#include "tensor/tape.h"

namespace evo {

struct Weight {
  Tensor value;  ///< [out, in]
  std::shared_ptr<const PackedWeight>
      packed;  ///< the same numbers, for inference only; may be null
};

/// x [N, in] -> y [N, out] = x W^T. Gradients: dx = dy W, dW = dy^T x; a detached x or W gets none.
Tensor linear(Tape& tape, const Tensor& x, const Weight& weight);

}  // namespace evo
