#include "plan/plan_count.h"

#include <gtest/gtest.h>

#include "model/testing.h"
#include "train/testing.h"

namespace evo::plan {
namespace {

TEST(PlanCount, ParametersOfASmallShapeByHand) {
  model::ModelConfig c =
      testing::tiny_config(100);  // V 100, D 32, F 48, 2 layers, 4 heads of 8, 2 for k, v
  c.adapter_rank = 3;
  c.window_places = 5;
  const ParameterCount count = count_parameters(c);
  EXPECT_EQ(count.embedding, 2 * 100 * 32);
  EXPECT_EQ(count.attention, 2 * (32 * 32 + 2 * 16 * 32 + 32 * 32));
  EXPECT_EQ(count.feed_forward, 2 * 3 * 32 * 48);
  EXPECT_EQ(count.norms, 2 * 2 * 32 + 32);
  EXPECT_EQ(count.codes, 100 * 8);
  EXPECT_EQ(count.evolve_in, 32 * (2 * 8 + 16));
  EXPECT_EQ(count.places, 5 * 32);
  EXPECT_EQ(count.modulation, 2 * 4 * 32 * 16);
  EXPECT_EQ(count.inner_field, 5 * 32 * 32);
  EXPECT_EQ(count.maturity, 32 + 3);
  // Of q|k|v, attention's output, gate|up and down: rank times inputs and outputs.
  EXPECT_EQ(count.adapters, 2 * 3 * ((32 + 64) + (32 + 32) + (32 + 96) + (48 + 32)));
  EXPECT_EQ(count.backbone(), 6400 + 6144 + 9216 + 160);
}

TEST(PlanCount, ParametersAreThoseOfTheModel) {
  for (const std::string& name : model::ModelConfig::preset_names()) {
    const model::ModelConfig config = model::ModelConfig::preset(name);
    const ParameterCount count = count_parameters(config);
    const model::ModelCost cost = model::model_cost(config, 1);  // counted there by formulas
    EXPECT_EQ(count.backbone(), cost.backbone_parameters) << name;
    EXPECT_EQ(sum_of(count), static_cast<double>(cost.parameters())) << name;
    if (cost.parameters() > 1'000'000'000) continue;  // too large to be made here
    const model::Model model(config, false);
    EXPECT_EQ(sum_of(count), static_cast<double>(model.parameters().values().size())) << name;
  }
}

TEST(PlanCount, EightBillionIsTheShapeOfLlama3) {
  const ParameterCount count = count_parameters(model::ModelConfig::preset("8b"));
  EXPECT_EQ(count.backbone(), 8'030'261'248);  // as that model's card and file have it
  EXPECT_EQ(sum_of(count) - static_cast<double>(count.backbone()),
            128256.0 * 16 + 4096 * (2 * 16 + 16) + 32 * 4 * 4096 * 16 + 5 * 4096 * 4096 + 4099);
}

/// Two counts made apart: by formulas of the whole in model_cost(), by parts here.
TEST(PlanCount, FlopsAreThoseThatTheTrainerCounts) {
  for (const std::string& name : model::ModelConfig::preset_names()) {
    train::RunConfig config = train::RunConfig::preset(name);
    const model::ModelCost cost = model::model_cost(config, config.sequence_length);
    const double expected =
        cost.training_flops_per_token + config.self_conditioning * cost.first_pass_flops_per_token;
    const double found = token_flops(config).total();
    EXPECT_NEAR(found / expected, 1, 1e-12) << name;  // sums of ten doubles

    config.flow = false;
    const double alone = model::model_cost(config, config.sequence_length).training_flops_per_token;
    EXPECT_NEAR(token_flops(config).total() / alone, 1, 1e-12) << name;
  }
}

TEST(PlanCount, RecomputationIsTheLayersOnceMore) {
  train::RunConfig config = train::RunConfig::preset("8b");
  const TokenFlops without = token_flops(config);
  config.recompute = true;
  const TokenFlops with = token_flops(config);
  EXPECT_EQ(without.recomputation, 0);
  EXPECT_EQ(with.recomputation, with.mature + with.evolving + with.attention);
  EXPECT_EQ(with.useful(), without.total());
}

TEST(PlanCount, LossThatTrainsNothingHasNoGradient) {
  train::RunConfig config = train::RunConfig::preset("demo");
  const TokenFlops before = token_flops(config);
  config.ar_weight = 0;
  const double head = 2.0 * 1024 * 128;
  EXPECT_EQ(before.head_gradients - token_flops(config).head_gradients, 2 * head);
}

}  // namespace
}  // namespace evo::plan
