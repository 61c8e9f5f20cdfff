#include "train/trainer/schedule.h"

#include <gtest/gtest.h>

namespace evo::train {
namespace {

TEST(LearningRate, RisesThenFollowsACosine) {
  TrainConfig config;
  config.steps = 100;
  config.warmup = 0.2;
  config.learning_rate = 8e-3;
  config.final_learning_rate = 0.25;
  const auto rate = [&](double progress) { return learning_rate_at(progress, config); };
  constexpr double kTolerance = 1e-16;                   // a few roundings of numbers of 1e-2
  EXPECT_NEAR(rate(0), 8e-3 * 0.005 / 0.2, kTolerance);  // half a step
  EXPECT_NEAR(rate(0.05), 2e-3, kTolerance);
  EXPECT_NEAR(rate(0.2), 8e-3, kTolerance);
  EXPECT_NEAR(rate(0.6), 5e-3, kTolerance);  // half-way down to a quarter
  EXPECT_NEAR(rate(1), 2e-3, kTolerance);
  config.warmup = 0;
  EXPECT_NEAR(rate(0), 8e-3, kTolerance);
}

}  // namespace
}  // namespace evo::train
