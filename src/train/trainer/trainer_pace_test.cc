// Steps in parts: micro-batches, steps that are abandoned, time that is over; and what is frozen.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "train/trainer/trainer_testing.h"

namespace evo::train {
namespace {

namespace fs = std::filesystem;
using testing::arrays_at;
using testing::checkpoints_in;
using testing::metrics_of;
using testing::options_for;
using testing::state_at;
using testing::tiny_run;

class TrainerPace : public testing::TrainerTest {
 protected:
  /// Weights after one step, and its line of metrics.
  std::pair<std::vector<float>, json::Record> step_of(const RunConfig& config,
                                                      const std::string& name) {
    train(config, folder_ / name);
    const model::Model model = model::Model::load((folder_ / name).string());
    const std::span<const float> weights = model.parameters().values();
    return {{weights.begin(), weights.end()}, metrics_of(folder_ / name).back()};
  }
};

/// All that is random in a step.
RunConfig varied_run(int64_t steps) {
  RunConfig config = tiny_run(steps);
  config.ahead_size = 16;
  config.infill_share = 0.5;
  config.gradient_accumulation = 2;
  config.self_conditioning = 0.5;
  return config;
}

TEST_F(TrainerPace, MicroBatchesAddUpToTheSameStep) {
  RunConfig config = varied_run(1);
  config.average_decay = 0;
  config.learning_rate = 1e-3;
  const auto [whole, line] = step_of(config, "whole");
  config.micro_batch = 4;  // the whole batch
  EXPECT_TRUE(step_of(config, "same").first == whole);
  for (const int64_t micro : {1, 3}) {
    config.micro_batch = micro;
    const auto [weights, parts] = step_of(config, fmt::format("micro-{}", micro));
    // Sums over 128 rows in f32, in another order: far below 1e-5. A part that is left out or has
    // other noise changes the second digit.
    for (const char* key : {"loss", "ar_nll", "flow_loss", "inner_loss", "ahead_loss",
                            "maturity_loss", "gradient_norm"}) {
      const double expected = line.get_double(key);
      EXPECT_NEAR(parts.get_double(key), expected, 1e-5 * std::abs(expected)) << key << micro;
    }
    // AdamW's first step is the sign of the gradient, but where that is rounding itself.
    int64_t others = 0;
    for (size_t i = 0; i < whole.size(); ++i) {
      if (!(std::abs(weights[i] - whole[i]) <= 1e-5f)) ++others;
    }
    EXPECT_LT(others, std::ssize(whole) / 100) << micro;
  }
}

TEST_F(TrainerPace, MicroBatchesResumeBitForBit) {
  RunConfig config = varied_run(6);
  config.micro_batch = 3;
  config.checkpoint_every = 3;
  config.keep_checkpoints = 5;
  train(config, folder_ / "straight");
  fs::create_directories(folder_ / "resumed" / "checkpoints");
  fs::copy(folder_ / "straight" / "checkpoints" / "step-00000003",
           folder_ / "resumed" / "checkpoints" / "step-00000003", fs::copy_options::recursive);
  train(config, folder_ / "resumed", true);
  EXPECT_TRUE(arrays_at(folder_ / "resumed", 6) == arrays_at(folder_ / "straight", 6));
}

/// Stops in many places, from before a step's first layer to the end of its last backward pass: the
/// run is as it was after the step before, and goes on to the same bits.
TEST_F(TrainerPace, AnAbandonedStepHasNotBeen) {
  RunConfig config = varied_run(4);
  config.micro_batch = 2;
  config.checkpoint_every = 2;
  config.keep_checkpoints = 5;
  train(config, folder_ / "straight");
  int abandoned = 0;
  for (int stop_at = 1; stop_at < 2000; stop_at += 37) {
    const fs::path out = folder_ / fmt::format("stopped-{}", stop_at);
    TrainOptions options = options_for(out);
    options.patience = 0;
    int asked = 0;
    options.stop = [&] { return ++asked > stop_at; };
    const TrainSummary summary = Trainer(config, tokens_, options).run();
    if (!summary.interrupted) break;
    ++abandoned;
    ASSERT_EQ(checkpoints_in(out).latest().value_or(0), summary.step);
    EXPECT_EQ(fs::exists(out / "model.safetensors"), summary.step > 0) << "nothing is learnt";
    train(config, out, true);
    EXPECT_TRUE(arrays_at(out, 4) == arrays_at(folder_ / "straight", 4)) << stop_at;
    EXPECT_EQ(state_at(out, 4), state_at(folder_ / "straight", 4)) << stop_at;
  }
  EXPECT_GE(abandoned, 5);
}

TEST_F(TrainerPace, TimeThatIsOverEndsARunWithItsValidation) {
  RunConfig config = tiny_run(0);
  config.minutes = 0.2 / 60;
  const TrainSummary summary = train(config, folder_ / "run");
  EXPECT_FALSE(summary.interrupted);
  EXPECT_GE(summary.step, 1);
  EXPECT_GT(summary.validation.ar_nll, 0);
  EXPECT_TRUE(metrics_of(folder_ / "run").back().has("valid_ar_nll"));
}

/// What the caller needs in the end, all of the time, leaves none for a second step.
TEST_F(TrainerPace, TheFirstStepIsTakenAndTheCallersTimeIsKeptFree) {
  RunConfig config = tiny_run(0);
  config.minutes = 10;
  TrainOptions options = options_for(folder_ / "run");
  options.closing_seconds = 600;
  const TrainSummary summary = Trainer(config, tokens_, options).run();
  EXPECT_EQ(summary.step, 1);
  EXPECT_FALSE(summary.interrupted);
  EXPECT_GT(summary.validation.ar_nll, 0);
}

TEST_F(TrainerPace, OfAFrozenBackboneNothingButWeightsIsWritten) {
  RunConfig config = tiny_run(2);
  config.freeze_backbone = true;
  config.code_gradient = "pca";
  const TrainedArrays arrays(config);
  int64_t trained = 0, all = 0;
  for (const model::Parameter& p : arrays.model.parameters().list()) {
    all += p.numel();
    trained += is_trained(config, p) ? p.numel() : 0;
  }
  EXPECT_LT(trained, all);
  EXPECT_EQ(arrays.written_bytes(), 4 * trained * sizeof(float));
  int64_t parts = 0;
  for (const Bucket& bucket : arrays.partition.buckets()) {
    for (const comm::IndexRange part : arrays.trained_parts(bucket)) parts += part.size();
  }
  EXPECT_EQ(parts, trained);

  // In a checkpoint the average of what is frozen is its weights, and the moments are zero.
  train(config, folder_ / "run");
  const weights::Checkpoint checkpoint = checkpoints_in(folder_ / "run").load(2);
  const auto read = [&](const char* name) {
    std::vector<float> values(static_cast<size_t>(all));
    checkpoint.arrays.read_f32(name, std::vector<int64_t>{all}, values);
    return values;
  };
  const std::vector<float> weights = read("weights"), average = read("average"),
                           moments = read("second_moment");
  int64_t moving = 0;
  for (const model::Parameter& p : arrays.model.parameters().list()) {
    for (int64_t i = p.offset; i < p.offset + p.numel(); ++i) {
      const auto at = static_cast<size_t>(i);
      if (is_trained(config, p)) {
        moving += average[at] != weights[at] ? 1 : 0;
      } else if (average[at] != weights[at] || moments[at] != 0) {
        ADD_FAILURE() << p.name << " has moved";
        break;
      }
    }
  }
  EXPECT_GT(moving, 0);
}

}  // namespace
}  // namespace evo::train
