// Constant factors that some families have at embeddings, branches and logits.
#pragma once

#include "tensor/tape.h"

namespace evo::ops {

/// factor * x; x and the result are [N, D].
tensor::Tensor scaled(tensor::Tape& tape, const tensor::Tensor& x, float factor);

}  // namespace evo::ops
