#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "flow/pca.h"
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
using testing::options_for;
using testing::read_bytes;
using testing::state_at;
using testing::timeless_metrics_of;
using testing::tiny_run;

using TrainerTest = testing::TrainerTest;

// --- Resuming

/// Lines of metrics average four steps, checkpoints come every six: an interruption falls inside
/// an average. Entropic time changes at steps 5 and 10, before and after it.
RunConfig interrupted_run() {
  RunConfig config = tiny_run(13);
  config.infill_share = 0.5;
  config.gradient_accumulation = 2;
  config.self_conditioning = 0.5;
  config.time_every = 5;
  config.time_freeze = 0.9;
  config.checkpoint_every = 6;
  config.keep_checkpoints = 5;
  config.log_every = 4;
  config.validate_every = 10;
  return config;
}

struct Interruption {};

TEST_F(TrainerTest, AResumedRunIsBitIdenticalToAStraightOne) {
  const fs::path straight = folder_ / "straight";
  RunConfig config = interrupted_run();
  EXPECT_EQ(train(config, straight).step, 13);
  ASSERT_EQ(checkpoints_in(straight).steps(), (std::vector<int64_t>{6, 12, 13}));
  // Killed right at the checkpoint, and later with a line of metrics already written beyond it.
  for (int64_t killed_after : {6, 9, 12}) {
    SCOPED_TRACE(killed_after);
    const fs::path resumed = folder_ / fmt::format("resumed-{}", killed_after);
    config.sample_every = killed_after;
    const OnSample kill = [](const model::Model&, int64_t) { throw Interruption(); };
    EXPECT_THROW(train(config, resumed, false, kill), Interruption);
    EXPECT_FALSE(fs::exists(resumed / "model.safetensors"));
    const TrainSummary summary = train(config, resumed, true);
    EXPECT_EQ(summary.step, 13);
    EXPECT_FALSE(summary.interrupted);
    EXPECT_TRUE(read_bytes(resumed / "model.safetensors") ==
                read_bytes(straight / "model.safetensors"));
    for (int64_t step : {6, 12, 13}) {
      EXPECT_TRUE(arrays_at(resumed, step) == arrays_at(straight, step)) << step;
      EXPECT_EQ(state_at(resumed, step), state_at(straight, step)) << step;
    }
    EXPECT_EQ(timeless_metrics_of(resumed), timeless_metrics_of(straight));
  }
}

TEST_F(TrainerTest, AStoppedRunAddsALineOfMetricsAndIsThenResumedBitForBit) {
  const RunConfig config = interrupted_run();
  const fs::path straight = folder_ / "straight", stopped = folder_ / "stopped";
  train(config, straight);
  TrainOptions options = options_for(stopped);
  int asked = 0;  // before the first step too
  options.stop = [&] { return ++asked == 1 + 7; };
  const TrainSummary summary = Trainer(config, tokens_, options).run();
  EXPECT_TRUE(summary.interrupted);
  EXPECT_EQ(summary.step, 7);
  EXPECT_GT(summary.last.total, 0);
  EXPECT_GT(summary.validation.ar_nll, 0);
  EXPECT_TRUE(fs::exists(stopped / "model.safetensors"));
  EXPECT_EQ(checkpoints_in(stopped).steps(), (std::vector<int64_t>{6, 7}));

  EXPECT_EQ(train(config, stopped, true).step, 13);
  EXPECT_TRUE(arrays_at(stopped, 13) == arrays_at(straight, 13));
  EXPECT_EQ(state_at(stopped, 13), state_at(straight, 13));
  std::vector<std::string> metrics = timeless_metrics_of(stopped);
  ASSERT_GE(metrics.size(), 2u);
  EXPECT_NE(metrics[1].find("\"step\":7"), std::string::npos) << metrics[1];
  metrics.erase(metrics.begin() + 1);
  EXPECT_EQ(metrics, timeless_metrics_of(straight));
}

TEST_F(TrainerTest, CheckpointsHoldWeightsAveragesMomentsAndTime) {
  const RunConfig config = interrupted_run();
  train(config, folder_ / "run");
  const weights::Checkpoint checkpoint = checkpoints_in(folder_ / "run").load(13);
  for (const char* name : {"weights", "average", "first_moment", "second_moment"}) {
    const weights::TensorInfo* info = checkpoint.arrays.find(name);
    ASSERT_NE(info, nullptr) << name;
    std::vector<float> values(info->bytes.size() / sizeof(float));
    checkpoint.arrays.read_f32(name, info->shape, values);
    EXPECT_TRUE(std::ranges::all_of(values, [](float v) { return std::isfinite(v); })) << name;
    EXPECT_TRUE(std::ranges::any_of(values, [](float v) { return v != 0; })) << name;
  }
  EXPECT_NE(checkpoint.arrays.find("time.log_snr"), nullptr);
  EXPECT_NE(checkpoint.arrays.find("time.value"), nullptr);
}

TEST_F(TrainerTest, ResumingWithoutACheckpointStartsAnew) {
  const RunConfig config = tiny_run(2);
  train(config, folder_ / "a", true);
  train(config, folder_ / "b");
  EXPECT_TRUE(arrays_at(folder_ / "a", 2) == arrays_at(folder_ / "b", 2));
}

TEST_F(TrainerTest, ResumingAFinishedRunChangesNothing) {
  const RunConfig config = tiny_run(2);
  const TrainSummary first = train(config, folder_ / "run");
  const std::string before = arrays_at(folder_ / "run", 2);
  const TrainSummary again = train(config, folder_ / "run", true);
  EXPECT_EQ(again.step, 2);
  EXPECT_EQ(again.tokens, first.tokens);
  EXPECT_EQ(again.validation.ar_nll, first.validation.ar_nll);
  EXPECT_TRUE(std::isnan(again.last.ar_nll));
  EXPECT_TRUE(arrays_at(folder_ / "run", 2) == before);
  EXPECT_EQ(metrics_of(folder_ / "run").size(), 2u);
}

TEST_F(TrainerTest, ACheckpointOfAnotherShapeIsAnError) {
  RunConfig config = tiny_run(2);
  train(config, folder_ / "run");
  config.intermediate_size += 16;
  expect_error([&] { train(config, folder_ / "run", true); }, {"state.safetensors", "weights"});
}

// --- The course of a run

TEST_F(TrainerTest, LearnsARepetitiveText) {
  RunConfig config = bare_run(80);
  config.learning_rate = 1e-2;
  const TrainSummary summary = train(config, folder_ / "run");
  // The frequencies alone give ln 7, the text before a token all but 0.
  const double of_frequencies = std::log(7.0);
  EXPECT_TRUE(summary.last.ar_nll < 0.25 * of_frequencies) << summary.last.ar_nll;
  EXPECT_TRUE(summary.validation.ar_nll < 0.25 * of_frequencies) << summary.validation.ar_nll;
  EXPECT_TRUE(summary.validation.flow < of_frequencies) << summary.validation.flow;
  EXPECT_TRUE(summary.validation.elbo < of_frequencies) << summary.validation.elbo;
  EXPECT_EQ(summary.tokens, 80 * 4 * 16);
}

TEST_F(TrainerTest, AnotherSeedGivesAnotherModel) {
  RunConfig config = tiny_run(2);
  train(config, folder_ / "a");
  config.seed = 2;
  train(config, folder_ / "b");
  EXPECT_FALSE(arrays_at(folder_ / "a", 2) == arrays_at(folder_ / "b", 2));
}

TEST_F(TrainerTest, AccumulatedPassesAreOneLargerBatch) {
  RunConfig config = tiny_run(1);
  config.flow = false;  // whose noise would depend on the row within a pass
  train(config, folder_ / "once");
  config.batch_size = 2;
  config.gradient_accumulation = 2;
  train(config, folder_ / "twice");
  const json::Record once = metrics_of(folder_ / "once")[0],
                     twice = metrics_of(folder_ / "twice")[0];
  // Sums of 64 rows in f32, in another order: far below 1e-5. Half of the batch has another loss.
  for (const char* key : {"loss", "ar_nll", "gradient_norm"}) {
    EXPECT_NEAR(twice.get_double(key), once.get_double(key), 1e-5 * once.get_double(key)) << key;
  }
  EXPECT_EQ(once.get_int("tokens"), twice.get_int("tokens"));
}

TEST_F(TrainerTest, TheLearningRateNeverExceedsItsPeak) {
  for (int64_t steps : {1, 3, 30}) {
    RunConfig config = tiny_run(steps);
    config.warmup = 0.2;
    train(config, folder_ / fmt::format("{}", steps));
    const auto lines = metrics_of(folder_ / fmt::format("{}", steps));
    ASSERT_EQ(std::ssize(lines), steps);
    double largest = 0;
    for (const json::Record& line : lines) {
      const double rate = line.get_double("learning_rate");
      EXPECT_TRUE(rate > 0 && rate <= config.learning_rate) << steps << ": " << rate;
      largest = std::max(largest, rate);
    }
    EXPECT_NEAR(largest, config.learning_rate, 0.5 * config.learning_rate) << steps;
  }
}

TEST_F(TrainerTest, ValidationSeesThePartsThatDoNotTrain) {
  RunConfig config = tiny_run(2);
  config.flow_weight = config.inner_weight = 0;
  const TrainSummary summary = train(config, folder_ / "run");
  EXPECT_GT(summary.validation.flow, 0);
  EXPECT_GT(summary.validation.inner, 0);
  EXPECT_GT(summary.validation.elbo, 0);
  EXPECT_TRUE(std::isnan(summary.last.elbo));
}

TEST_F(TrainerTest, PcaCodesFollowTheEmbeddingAndNothingElse) {
  RunConfig config = bare_run(6);
  config.code_gradient = "pca";
  config.time_every = 2;
  config.time_freeze = 0.5;
  config.weight_decay = 0.5;  // of everything else
  config.sample_every = 1;
  std::vector<float> last;
  train(config, folder_ / "run", false, [&](const model::Model& model, int64_t step) {
    const std::span<const float> codes = model.parameters().tensor("evo.codes").values();
    if (step == 2) {  // just made from the embedding as it is now
      last.resize(codes.size());
      flow::principal_codes(model.embedding().values(), config.hidden_size, config.code_size, last);
    }
    EXPECT_TRUE(step < 2 || std::ranges::equal(codes, last)) << step;  // and then kept
  });
  EXPECT_FALSE(last.empty());
}

// --- Faults of the user

TEST_F(TrainerTest, TooFewTokensIsAnErrorThatCountsThem) {
  for (int32_t count : {0, 10, 33}) {
    const data::TokenFile few(testing::write_repetitive_tokens(folder_ / "few", count));
    expect_error([&] { Trainer(tiny_run(2), few, options_for(folder_ / "run")); },
                 {"few", fmt::format("has {} tokens", count), "`sequence_length` 16", "34"});
  }
  const data::TokenFile enough(testing::write_repetitive_tokens(folder_ / "enough", 34));
  EXPECT_NO_THROW(Trainer(tiny_run(2), enough, options_for(folder_ / "run")).run());
}

TEST_F(TrainerTest, ATokenOutsideTheVocabularyIsAnError) {
  RunConfig config = tiny_run(2);
  config.vocab_size = 12;  // the largest id is 12
  expect_error([&] { train(config, folder_ / "run"); }, {"12"});
}

TEST_F(TrainerTest, AnImpossibleConfigurationIsAnErrorBeforeAnythingElse) {
  RunConfig config = tiny_run(2);
  config.sequence_length = -5;
  expect_error([&] { train(config, folder_ / "run"); }, {"`sequence_length`"});
}

}  // namespace
}  // namespace evo::train
