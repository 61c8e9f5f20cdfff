// Whole texts in one pass, as decoders would come to read them.
#pragma once

#include "model/model.h"

namespace evo::model {

/// Hidden states [N, D] of texts' tokens: those of a text are rows [first, end) of `input`, each of
/// which sees [first, itself], of this pass. Keys and values are rounded as a decoder's cache
/// rounds them (Model::cache_format()); where that changes nothing, no cache is made.
tensor::Tensor forward_texts(const Model& model, tensor::Tape& tape, const ForwardInput& input);

}  // namespace evo::model
