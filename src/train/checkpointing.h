// What a training run has to remember, to and from a checkpoint.
#pragma once

#include <cstdint>

#include "io/checkpoint.h"
#include "model/model.h"
#include "train/config.h"
#include "train/loss_watch.h"
#include "train/metrics.h"

namespace evo {

/// What the optimizer changes.
struct TrainedArrays {
  explicit TrainedArrays(const RunConfig& config);

  Model model;
  Model average;  ///< exponential average of the model's weights, with the same table of time
  Tensor first_moment, second_moment;  ///< of AdamW, laid out as the model's parameters
};

/// How far a run is.
struct RunState {
  int64_t step = 0;           ///< optimizer steps taken
  int64_t next_sequence = 0;  ///< index of the loader's next sequence
  double seconds = 0;
  LossWatch watch;
  int64_t recoveries = 0;  ///< how often the run went back to a checkpoint
  LossMean since_line;     ///< the losses since the last line of metrics
};

void save_run(CheckpointFolder& folder, const TrainedArrays& arrays, const RunState& state);

/// Fills `arrays` and returns the state, both bit for bit. Throws Error if the checkpoint is of
/// another shape.
RunState restore_run(const Checkpoint& checkpoint, TrainedArrays& arrays);

}  // namespace evo
