#include "train/trainer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace evo::train {

double learning_rate_at(double progress, const TrainConfig& config) {
  if (progress < config.warmup) {
    // The first step must move too: half a step of warm-up at least.
    const double floor = config.steps > 0 ? 0.5 / static_cast<double>(config.steps) : 0.0;
    return config.learning_rate * std::min(1.0, std::max(progress, floor) / config.warmup);
  }
  const double along = (progress - config.warmup) / std::max(1e-9, 1 - config.warmup);
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * along));
  return config.learning_rate *
         (config.final_learning_rate + (1 - config.final_learning_rate) * cosine);
}

}  // namespace evo::train
