// Training that diverges: back to the checkpoint once, then an explanation.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "train/trainer/trainer_testing.h"

namespace evo::train {
namespace {

namespace fs = std::filesystem;
using testing::arrays_at;
using testing::bare_run;
using testing::checkpoints_in;
using testing::expect_error;
using testing::metrics_of;
using testing::OnSample;

using DivergenceTest = testing::TrainerTest;

/// What fn writes to standard error.
template <class Fn>
std::string log_of(const Fn& fn) {
  ::testing::internal::CaptureStderr();
  try {
    fn();
  } catch (...) {
    std::cerr << ::testing::internal::GetCapturedStderr();
    throw;
  }
  return ::testing::internal::GetCapturedStderr();
}

void poison(const model::Model& model) {
  model.parameters().tensor("model.norm.weight").f32()[0] = NAN;
}

void expect_finite(const fs::path& out, int64_t step) {
  const weights::Checkpoint checkpoint = checkpoints_in(out).load(step);
  const int64_t size = checkpoint.arrays.find("weights")->shape[0];
  std::vector<float> weights(static_cast<size_t>(size));
  checkpoint.arrays.read_f32("weights", std::vector<int64_t>{size}, weights);
  EXPECT_TRUE(std::ranges::all_of(weights, [](float v) { return std::isfinite(v); }));
}

TEST_F(DivergenceTest, NotANumberGoesBackToTheCheckpointOnce) {
  RunConfig config = bare_run(12);
  config.checkpoint_every = 6;
  config.keep_checkpoints = 5;
  config.sample_every = 8;
  bool poisoned = false;
  const OnSample once = [&](const model::Model& model, int64_t) {
    if (!poisoned) poison(model);
    poisoned = true;
  };
  TrainSummary summary;
  const std::string log = log_of([&] { summary = train(config, folder_ / "run", false, once); });
  EXPECT_NE(log.find("diverged at step 9: loss nan"), std::string::npos) << log;
  EXPECT_NE(log.find("going back to step 6 once"), std::string::npos) << log;
  EXPECT_EQ(summary.step, 12);
  EXPECT_TRUE(std::isfinite(summary.validation.total));
  expect_finite(folder_ / "run", 12);
  // Steps 7 to 9 were taken twice, the second time on later data.
  EXPECT_EQ(checkpoints_in(folder_ / "run").load(12).state.get_int("next_sequence"),
            (12 + 3) * config.batch_size);
  const std::vector<json::Record> lines = metrics_of(folder_ / "run");
  ASSERT_EQ(lines.size(), 12u);
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].get_int("step"), static_cast<int64_t>(i + 1));
    EXPECT_FALSE(lines[i].is_null("loss"));
  }
}

TEST_F(DivergenceTest, ASecondDivergenceIsAnErrorAndLeavesTheCheckpoint) {
  RunConfig config = bare_run(12);
  config.checkpoint_every = 6;
  config.sample_every = 8;
  std::string at_first;
  const OnSample always = [&](const model::Model& model, int64_t) {
    if (at_first.empty()) at_first = arrays_at(folder_ / "run", 6);
    poison(model);
  };
  log_of([&] {
    expect_error([&] { train(config, folder_ / "run", false, always); },
                 {"a second time", "step 6 is intact", "step 9: loss nan", "`learning_rate`"});
  });
  EXPECT_EQ(checkpoints_in(folder_ / "run").steps(), std::vector<int64_t>{6});
  EXPECT_TRUE(arrays_at(folder_ / "run", 6) == at_first);
  EXPECT_FALSE(fs::exists(folder_ / "run/model.safetensors"));
  // And the run can go on from there.
  EXPECT_EQ(train(config, folder_ / "run", true).step, 12);
  expect_finite(folder_ / "run", 12);
}

TEST_F(DivergenceTest, DivergenceBeforeTheFirstCheckpointIsAnError) {
  RunConfig config = bare_run(12);
  config.sample_every = 2;
  expect_error(
      [&] {
        train(config, folder_ / "run", false, [](const model::Model& m, int64_t) { poison(m); });
      },
      {"before the first checkpoint", "step 3", "`learning_rate`"});
  EXPECT_TRUE(checkpoints_in(folder_ / "run").steps().empty());
}

TEST_F(DivergenceTest, AnAbsurdLearningRateIsExplained) {
  RunConfig config = bare_run(60);
  config.learning_rate = 0.99;
  config.weight_decay = 9.9;  // together they multiply the weights by -9 in every step
  config.checkpoint_every = 5;
  const std::string log = log_of([&] {
    expect_error([&] { train(config, folder_ / "run"); },
                 {"a second time", "is intact", "Try a lower `learning_rate`"});
  });
  EXPECT_NE(log.find("once, past the data that did it"), std::string::npos) << log;
  expect_finite(folder_ / "run", checkpoints_in(folder_ / "run").latest().value_or(-1));
}

/// Seventy steps, long enough for the loss to have a running mean, with a checkpoint at step 50.
RunConfig long_run() {
  RunConfig config = bare_run(70);
  config.learning_rate = 1e-2;
  config.tie_word_embeddings = false;
  config.checkpoint_every = 50;
  config.sample_every = 2;
  return config;
}

std::span<float> head_of(const model::Model& model) {
  return model.parameters().tensor("lm_head.weight").values();
}

TEST_F(DivergenceTest, ASpikeOfTheLossGoesBackToo) {
  bool damaged = false;
  const OnSample damage = [&](const model::Model& model, int64_t step) {
    if (step != 60 || damaged) return;
    damaged = true;
    for (float& value : head_of(model)) value *= -30;
  };
  TrainSummary summary;
  const std::string log =
      log_of([&] { summary = train(long_run(), folder_ / "run", false, damage); });
  // The third bad step in a row is one too many.
  EXPECT_NE(log.find("diverged at step 63"), std::string::npos) << log;
  EXPECT_NE(log.find("going back to step 50 once"), std::string::npos) << log;
  EXPECT_EQ(summary.step, 70);
  EXPECT_TRUE(summary.last.ar_nll < 1) << summary.last.ar_nll;
}

TEST_F(DivergenceTest, TwoBadStepsInARowAreNoSpike) {
  std::vector<float> kept;
  const OnSample damage_for_two_steps = [&](const model::Model& model, int64_t step) {
    if (step == 58 || step == 62) {
      kept.assign(head_of(model).begin(), head_of(model).end());
      for (float& value : head_of(model)) value *= -30;
    }
    if (step == 60 || step == 64) std::ranges::copy(kept, head_of(model).begin());
  };
  EXPECT_EQ(log_of([&] { train(long_run(), folder_ / "run", false, damage_for_two_steps); }), "");
  const std::vector<json::Record> lines = metrics_of(folder_ / "run");
  ASSERT_EQ(lines.size(), 70u);
  for (size_t bad : {58, 59, 62, 63}) EXPECT_GT(lines[bad].get_double("ar_nll"), 3) << bad;
}

}  // namespace
}  // namespace evo::train
