// The held-out part of the text, and the losses on it.
#pragma once

#include <cstdint>
#include <functional>

#include "comm/communicator.h"
#include "data/loader.h"
#include "data/tokens.h"
#include "train/config.h"
#include "train/loss/loss.h"

namespace evo::train {

/// Where in `tokens` the held-out part begins, which goes on to the end: that of the file or, if a
/// corpus of few documents makes that far too small or too large, the end of the text. Both parts
/// hold at least one sequence; throws Error if the text is too short for that.
int64_t held_out_begin(const data::TokenFile& tokens, const RunConfig& config);

struct ValidationOptions {
  int64_t sequences = 0;  ///< the first ones; at least 1
  tensor::Precision precision = tensor::Precision::kF32;
  std::function<void(int64_t pass)> before_pass;  ///< 0, 1 .. validation_passes() - 1; may be empty
};

/// Passes of a validation on a rank, each of one micro-batch at most.
[[nodiscard]] int64_t validation_passes(const RunConfig& config, int64_t sequences, int ranks);

/// Mean losses of `model` on the first sequences of `held_out`, with the ELBO along block:8. Every
/// part of the loss is evaluated, also those that do not train. The same noise every time. The
/// ranks share the work, and all get the result.
LossReport validation_loss(const model::Model& model, const data::SequenceLoader& held_out,
                           const RunConfig& config, const ValidationOptions& options,
                           comm::Communicator& ranks);

}  // namespace evo::train
