#include "train/config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "base/testing.h"
#include "train/testing.h"

namespace evo::train {
namespace {

using testing::expect_error;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A configuration that is right but for `change` is refused in words that name `setting`.
void expect_refused(const std::function<void(RunConfig&)>& change, std::string_view setting) {
  SCOPED_TRACE(setting);
  RunConfig config = testing::tiny_run(2);
  ASSERT_NO_THROW(config.validate());
  change(config);
  expect_error([&] { config.validate(); }, {setting});
}

TEST(RunConfig, RefusesAnEndlessOrEmptyRun) {
  expect_refused([](RunConfig& c) { c.steps = 0; }, "`steps` or `minutes`");
  expect_refused([](RunConfig& c) { c.steps = -1; }, "`steps`");
  expect_refused([](RunConfig& c) { c.minutes = -1; }, "`minutes`");
  expect_refused([](RunConfig& c) { c.minutes = kNaN; }, "`minutes`");
  expect_refused([](RunConfig& c) { c.minutes = kInfinity; }, "`minutes`");
  RunConfig by_the_clock = testing::tiny_run(0);
  by_the_clock.minutes = 0.5;
  EXPECT_NO_THROW(by_the_clock.validate());
}

TEST(RunConfig, RefusesShapesThatDoNotFit) {
  // The last evolving row stands at position sequence_length.
  expect_refused([](RunConfig& c) { c.sequence_length = c.max_position_embeddings; },
                 "`max_position_embeddings`");
  expect_refused([](RunConfig& c) { c.sequence_length = 1; }, "`sequence_length`");
  expect_refused([](RunConfig& c) { c.batch_size = 0; }, "`batch_size`");
  expect_refused([](RunConfig& c) { c.batch_size = 65537; }, "`batch_size`");
  expect_refused([](RunConfig& c) { c.gradient_accumulation = 0; }, "`gradient_accumulation`");
  expect_refused([](RunConfig& c) { c.num_key_value_heads = 3; }, "num_key_value_heads");
  RunConfig longest = testing::tiny_run(1);
  longest.sequence_length = longest.max_position_embeddings - 1;
  EXPECT_NO_THROW(longest.validate());
}

TEST(RunConfig, RefusesOptimizerSettingsOutOfRange) {
  for (double wrong : {-1.0, 0.0, 1.0, kNaN}) {
    expect_refused([=](RunConfig& c) { c.learning_rate = wrong; }, "`learning_rate`");
  }
  for (double wrong : {-0.1, 1.1, kNaN}) {
    expect_refused([=](RunConfig& c) { c.final_learning_rate = wrong; }, "`final_learning_rate`");
    expect_refused([=](RunConfig& c) { c.warmup = wrong; }, "`warmup`");
    expect_refused([=](RunConfig& c) { c.whole_block_share = wrong; }, "`whole_block_share`");
    expect_refused([=](RunConfig& c) { c.self_conditioning = wrong; }, "`self_conditioning`");
    expect_refused([=](RunConfig& c) { c.time_freeze = wrong; }, "`time_freeze`");
    expect_refused([=](RunConfig& c) { c.infill_share = wrong; }, "`infill_share`");
  }
  for (double wrong : {-0.1, 1.0, kNaN}) {
    expect_refused([=](RunConfig& c) { c.beta1 = wrong; }, "`beta1`");
    expect_refused([=](RunConfig& c) { c.beta2 = wrong; }, "`beta2`");
    expect_refused([=](RunConfig& c) { c.average_decay = wrong; }, "`average_decay`");
  }
  for (double wrong : {-0.1, 10.0, kNaN}) {
    expect_refused([=](RunConfig& c) { c.weight_decay = wrong; }, "`weight_decay`");
  }
  expect_refused([](RunConfig& c) { c.clip = -1; }, "`clip`");
  expect_refused([](RunConfig& c) { c.clip = kNaN; }, "`clip`");
}

TEST(RunConfig, RefusesImpossibleFlowSettings) {
  for (double wrong : {-0.5, kNaN, kInfinity}) {
    expect_refused([=](RunConfig& c) { c.flow_weight = wrong; }, "`flow_weight`");
    expect_refused([=](RunConfig& c) { c.inner_weight = wrong; }, "`inner_weight`");
    expect_refused([=](RunConfig& c) { c.maturity_weight = wrong; }, "`maturity_weight`");
  }
  expect_refused([](RunConfig& c) { c.code_gradient = "none"; }, "`code_gradient`");
  expect_refused(
      [](RunConfig& c) {
        c.code_gradient = "pca";
        c.code_size = c.hidden_size + 1;
      },
      "`code_size`");
  expect_refused([](RunConfig& c) { c.time_sampler = "beta"; }, "`time_sampler`");
  expect_refused([](RunConfig& c) { c.block_lengths = {}; }, "`block_lengths`");
  expect_refused([](RunConfig& c) { c.block_lengths = {4, 0}; }, "`block_lengths`");
  expect_refused([](RunConfig& c) { c.block_lengths = {int64_t{1} << 62}; }, "`block_lengths`");
}

TEST(RunConfig, RefusesImpossibleCounts) {
  for (int64_t RunConfig::*setting :
       {&RunConfig::time_every, &RunConfig::validate_every, &RunConfig::validation_sequences,
        &RunConfig::checkpoint_every, &RunConfig::keep_checkpoints, &RunConfig::log_every}) {
    RunConfig config = testing::tiny_run(1);
    // 2^32 is 0 once it is an int.
    for (int64_t wrong : {int64_t{0}, int64_t{-3}, int64_t{1} << 32}) {
      config.*setting = wrong;
      expect_error([&] { config.validate(); }, {"`", "must be 1 to", std::to_string(wrong)});
    }
  }
  expect_refused([](RunConfig& c) { c.keep_checkpoints = 0; }, "`keep_checkpoints`");
  expect_refused([](RunConfig& c) { c.validate_every = 0; }, "`validate_every`");
  expect_refused([](RunConfig& c) { c.sample_every = -1; }, "`sample_every`");
  for (double wrong : {0.0, 0.5, -1.0, kNaN}) {
    expect_refused([=](RunConfig& c) { c.validation_fraction = wrong; }, "`validation_fraction`");
  }
}

TEST(RunConfig, PresetsAreValid) {
  for (const std::string& name : model::ModelConfig::preset_names()) {
    EXPECT_NO_THROW(RunConfig::preset(name).validate()) << name;
  }
  EXPECT_THROW(RunConfig::preset("9b"), UsageError);
}

/// Where it is not said otherwise, what is trained can draft without a window.
TEST(RunConfig, PresetsDraftAhead) {
  for (const std::string& name : model::ModelConfig::preset_names()) {
    EXPECT_EQ(RunConfig::preset(name).drafts_ahead(), name != "8b") << name;
  }
  EXPECT_EQ(RunConfig::preset("7m").ahead_size, 256);  // as the shipped model has it
  for (const int64_t hidden : {1, 4, 30, 256, 1023, 4096}) {
    RunConfig config = testing::tiny_run(1);
    config.ahead_size = good_ahead_size(hidden);
    EXPECT_NO_THROW(config.validate()) << hidden;
    EXPECT_LE(config.ahead_size, std::max<int64_t>(4, hidden)) << hidden;
  }
}

TEST(TrainConfig, CodeGradientKinds) {
  using CodeGradient = ops::HeadLosses::CodeGradient;
  TrainConfig config;
  config.code_gradient = "ce";
  EXPECT_EQ(config.code_gradient_kind(), CodeGradient::kCrossEntropy);
  config.code_gradient = "mse";
  EXPECT_EQ(config.code_gradient_kind(), CodeGradient::kSquaredError);
  config.code_gradient = "pca";
  EXPECT_EQ(config.code_gradient_kind(), CodeGradient::kNone);
}

}  // namespace
}  // namespace evo::train
