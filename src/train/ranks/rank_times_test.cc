#include "train/ranks/rank_times.h"

#include <gtest/gtest.h>

#include <cmath>

namespace evo::train {
namespace {

TEST(RankTimes, NamesTheSlowestRank) {
  RankTimes times;
  EXPECT_TRUE(std::isnan(times.slowest_to_median()));
  EXPECT_TRUE(std::isnan(times.hidden_share()));
  for (int step = 0; step < 3; ++step) {
    const double busy[] = {1, 1.1, 3, 0.9}, transfer[] = {2, 2, 2, 2}, waiting[] = {1, 1, 0, 2};
    times.add(busy, transfer, waiting);
  }
  EXPECT_EQ(times.slowest(), 2);
  EXPECT_NEAR(times.slowest_to_median(), 3, 1e-12);  // the lower of the two in the middle is 1
  EXPECT_NEAR(times.communication_seconds(), 3 * 2, 1e-12);
  EXPECT_NEAR(times.hidden_share(), 1 - 4.0 / 8, 1e-12);
  times.clear();
  const double busy[] = {5, 1}, transfer[] = {1, 1}, waiting[] = {0, 0};
  times.add(busy, transfer, waiting);
  EXPECT_EQ(times.slowest(), 0);
  EXPECT_NEAR(times.slowest_to_median(), 5, 1e-12);
  EXPECT_NEAR(times.hidden_share(), 1, 1e-12);
}

}  // namespace
}  // namespace evo::train
