// What decoding in mode exact gains with a model that was trained just now: measured, not promised.
#pragma once

#include <optional>
#include <string>

#include "api/train_run.h"
#include "decode/session/session.h"

namespace evo::cli {

struct DraftGain {
  double speed_up = 0;  ///< of exact over ar; NaN if no text was decoded
  double ar_tokens_per_second = 0, tokens_per_forward = 0;
  int64_t texts = 0;         ///< that were decoded in both modes
  int64_t parent_texts = 0;  ///< of them, equal to the parent's, if there is one
  tensor::Precision precision = tensor::Precision::kF32;
  [[nodiscard]] std::string line() const;
};

/// Decodes beginnings of held-out texts, greedily, with the model in request.out: a few seconds,
/// at the precision that `evo generate` takes by itself. What it learns of passes is kept for that.
/// `parent`: folder of the model that it comes from, whose texts are compared; empty: none. Only
/// for models with an evolving stream.
[[nodiscard]] DraftGain measure_gain(const TrainRequest& request, const data::TokenFile& tokens,
                                     const std::string& parent = "");

/// Lets the run end with that, inside its time, unless it is interrupted: then `gain` stays empty.
void report_gain(TrainRequest& request, std::optional<DraftGain>& gain,
                 const std::string& parent = "");

}  // namespace evo::cli
