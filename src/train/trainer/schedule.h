// The learning rate along a run.
#pragma once

#include "train/config.h"

namespace evo::train {

/// Linear warm-up, then a cosine down to the final rate. `progress` of the run, in [0, 1].
[[nodiscard]] double learning_rate_at(double progress, const TrainConfig& config);

}  // namespace evo::train
