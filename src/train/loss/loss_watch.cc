#include "train/loss/loss_watch.h"

#include <algorithm>
#include <cmath>

namespace evo::train {
namespace {

// A loss this far above its running mean, in deviations and at least in nats, on this many steps in
// a row is a spike. Before the first steps the mean says nothing.
constexpr double kSpikeDeviations = 8, kSpikeNats = 1.0;
constexpr int64_t kSpikeSteps = 3, kSpikeWarmup = 50;

}  // namespace

bool LossWatch::steady(double loss, int64_t step) {
  const double excess = loss - mean;
  const double limit = std::max(kSpikeNats, kSpikeDeviations * deviation);
  if (step > kSpikeWarmup && excess > limit) return ++spikes < kSpikeSteps;
  spikes = 0;
  const double rate = step <= 1 ? 1.0 : 0.05;
  deviation += rate * (std::abs(step <= 1 ? 0.1 : excess) - deviation);
  mean += rate * excess;
  return true;
}

}  // namespace evo::train
