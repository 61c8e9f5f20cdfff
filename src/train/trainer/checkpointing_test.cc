#include "train/trainer/checkpointing.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "train/trainer/trainer_testing.h"

namespace evo::train {
namespace {

/// Everything in `arrays` is another number.
void fill(const TrainedArrays& arrays, uint64_t seed) {
  Random random(seed);
  random.fill_normal(arrays.model.parameters().values());
  random.fill_normal(arrays.average.values());
  random.fill_normal(arrays.first_moment.values());
  random.fill_normal(arrays.second_moment.values());
}

TEST(Checkpointing, ARunComesBackBitForBit) {
  const testing::TemporaryFolder folder;
  const RunConfig config = testing::tiny_run(1);
  TrainedArrays saved(config);
  fill(saved, 1);
  saved.model.set_time(flow::EntropicTime({-3.0, -1.0, 0.5}, {0.75, 0.5, 0.25}));
  RunState state{7, 28, 1.0 / 3, {2.5, 0.1, 2}, 1, {}, "bf16, AVX2"};
  state.since_line.add({1, 0.5, 0.25, 0.125, 0.0625, 0.75, 3});
  weights::CheckpointFolder checkpoints = testing::checkpoints_in(folder.path());
  save_run(checkpoints, saved, state, *comm::single_communicator());

  TrainedArrays restored(config);
  const RunState back = restore_run(checkpoints.load(7), restored);
  EXPECT_EQ(back.step, 7);
  EXPECT_EQ(back.next_sequence, 28);
  EXPECT_EQ(back.seconds, 1.0 / 3);
  EXPECT_EQ(back.watch.mean, 2.5);
  EXPECT_EQ(back.watch.deviation, 0.1);
  EXPECT_EQ(back.watch.spikes, 2);
  EXPECT_EQ(back.recoveries, 1);
  EXPECT_EQ(back.arithmetic, "bf16, AVX2");
  EXPECT_EQ(back.since_line.to_record().dump(), state.since_line.to_record().dump());
  const auto same = [](std::span<const float> a, std::span<const float> b) {
    return std::ranges::equal(a, b);
  };
  EXPECT_TRUE(same(restored.model.parameters().values(), saved.model.parameters().values()));
  EXPECT_TRUE(same(restored.average.values(), saved.average.values()));
  EXPECT_TRUE(same(restored.first_moment.values(), saved.first_moment.values()));
  EXPECT_TRUE(same(restored.second_moment.values(), saved.second_moment.values()));
  EXPECT_EQ(restored.model.time().log_snr(), saved.model.time().log_snr());
  EXPECT_EQ(restored.model.time().time_values(), saved.model.time().time_values());
}

}  // namespace
}  // namespace evo::train
