// Constant factors that some families have at embeddings, branches and logits.
#pragma once

#include "tensor/tape.h"

namespace evo {

/// factor * x; x and the result are [N, D].
Tensor scaled(Tape& tape, const Tensor& x, float factor);

}  // namespace evo
