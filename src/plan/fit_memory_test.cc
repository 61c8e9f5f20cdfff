#include "plan/fit_memory.h"

#include <gtest/gtest.h>

#include "plan/plan_memory.h"
#include "train/adapt.h"

namespace evo::plan {
namespace {

train::RunConfig wide_run() {
  train::RunConfig config = train::RunConfig::preset("30m");
  config.batch_size = 16;
  return config;
}

double bytes_of(train::RunConfig config, int64_t micro_batch, bool recompute) {
  config.micro_batch = micro_batch;
  config.recompute = recompute;
  return process_memory(config, tensor::Precision::kF32);
}

TEST(FitMemory, WhatFitsStaysAsItIs) {
  const train::RunConfig config = wide_run();
  const MemoryFit fit = fit_memory(config, tensor::Precision::kF32, bytes_of(config, 0, false));
  EXPECT_TRUE(fit.fits);
  EXPECT_EQ(fit.micro_batch, 0);
  EXPECT_FALSE(fit.recompute);
  EXPECT_EQ(describe_fit(config, fit, 1e12), "");
}

TEST(FitMemory, TakesTheFewestPartsThatFitAndThenRecomputes) {
  const train::RunConfig config = wide_run();
  struct Case {
    double bytes;
    int64_t micro_batch;
    bool recompute;
  };
  const double one = bytes_of(config, 1, false);
  for (const Case& c :
       {Case{bytes_of(config, 0, false) - 1, 8, false}, Case{bytes_of(config, 8, false), 8, false},
        Case{bytes_of(config, 8, false) - 1, 4, false}, Case{one, 1, false},
        Case{bytes_of(config, 1, true), 1, true}}) {
    const MemoryFit fit = fit_memory(config, tensor::Precision::kF32, c.bytes);
    EXPECT_TRUE(fit.fits) << c.bytes;
    EXPECT_EQ(fit.micro_batch, c.micro_batch) << c.bytes;
    EXPECT_EQ(fit.recompute, c.recompute) << c.bytes;
    EXPECT_LE(fit.bytes, c.bytes);
    const std::string text = describe_fit(config, fit, c.bytes);
    EXPECT_NE(text.find(" parts"), std::string::npos) << text;
    EXPECT_EQ(text.find("recomputed") != std::string::npos, c.recompute) << text;
  }
  EXPECT_LT(bytes_of(config, 1, true), one);
}

TEST(FitMemory, SaysWhatTheLeastIsIfNothingFits) {
  const train::RunConfig config = wide_run();
  const MemoryFit fit = fit_memory(config, tensor::Precision::kF32, 1e8);
  EXPECT_FALSE(fit.fits);
  EXPECT_EQ(fit.bytes, bytes_of(config, 1, true));
  const std::string text = describe_fit(config, fit, 1e8);
  for (const char* part : {"not enough memory", "at least", "sequence_length", "--memory"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << ": " << text;
  }
}

TEST(FitMemory, AMicroBatchThatIsAskedForIsKeptWhereItFits) {
  train::RunConfig config = wide_run();
  config.micro_batch = 4;
  EXPECT_EQ(fit_memory(config, tensor::Precision::kF32, 1e12).micro_batch, 4);
  EXPECT_EQ(fit_memory(config, tensor::Precision::kF32, bytes_of(config, 4, false) - 1).micro_batch,
            2);
}

/// Gradients, moments and average of a frozen backbone are never written.
TEST(FitMemory, AFrozenBackboneCostsItsWeightsAlone) {
  model::ModelConfig parent = model::ModelConfig::preset("30m");
  parent.flow = false;
  const train::RunConfig frozen = train::adapt_config(parent, train::AdaptRecipe::kFrozen),
                         full = train::adapt_config(parent, train::AdaptRecipe::kFull);
  const RankMemory of_frozen = rank_memory(frozen, {}), of_full = rank_memory(full, {});
  train::RunConfig without = full;
  without.flow = false;
  const double backbone = rank_memory(without, {}).weights;
  EXPECT_EQ(of_frozen.gradients, of_frozen.weights - backbone);
  EXPECT_LT(of_frozen.moments, 2 * of_frozen.gradients + 1);
  EXPECT_EQ(of_full.gradients, of_full.weights);
}

}  // namespace
}  // namespace evo::plan
