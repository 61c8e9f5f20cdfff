// Notices a loss that jumps.
#pragma once

#include <cstdint>

namespace evo::train {

/// A running mean of the loss and of its distance from the mean, and how far the newest ones are
/// off. Plain numbers, which a checkpoint holds.
struct LossWatch {
  double mean = 0, deviation = 0;  ///< in nats
  int64_t spikes = 0;              ///< how many steps in a row, up to the last one, were too high

  /// Takes in the loss of step `step` (the first is 1). False once it has been far above its mean
  /// on several steps in a row.
  bool steady(double loss, int64_t step);
};

}  // namespace evo::train
