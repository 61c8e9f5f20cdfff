#include "train/adapt.h"

#include <gtest/gtest.h>

#include <cstring>

#include "train/trainer/trainer_testing.h"

namespace evo::train {
namespace {

using testing::metrics_of;
using testing::options_for;
using testing::tiny_run;

/// The parent of every test: trained without the evolving stream.
class AdaptTest : public testing::TrainerTest {
 protected:
  AdaptTest() {
    RunConfig config = tiny_run(200);
    config.flow = false;
    train(config, folder_ / "parent");
  }

  [[nodiscard]] model::Model parent() const {
    return model::Model::load((folder_ / "parent").string());
  }

  [[nodiscard]] RunConfig config_for(AdaptRecipe recipe, int64_t steps) const {
    RunConfig config = adapt_config(parent().config(), recipe);
    const RunConfig tiny = tiny_run(steps);
    config.steps = steps;
    config.batch_size = tiny.batch_size;
    config.sequence_length = tiny.sequence_length;
    config.validate_every = config.log_every = 10;
    return config;
  }

  model::Model adapt(AdaptRecipe recipe, int64_t steps, const std::string& name) const {
    TrainOptions options = options_for(folder_ / name);
    options.initialize = [&](model::Model& model) { adopt_parent(parent(), model); };
    Trainer(config_for(recipe, steps), tokens_, std::move(options)).run();
    return model::Model::load((folder_ / name).string());
  }

  /// An Evo model of a few steps, and what `recipe` makes of it.
  std::pair<model::Model, model::Model> evolving_and_adapted(AdaptRecipe recipe, int64_t steps) {
    train(tiny_run(30), folder_ / "evolving");
    model::Model evolving = model::Model::load((folder_ / "evolving").string());
    RunConfig config = config_for(recipe, steps);
    static_cast<model::ModelConfig&>(config) = adapt_config(evolving.config(), recipe);
    TrainOptions options = options_for(folder_ / "drafts");
    options.initialize = [&](model::Model& model) { adopt_parent(evolving, model); };
    Trainer(config, tokens_, std::move(options)).run();
    return {std::move(evolving), model::Model::load((folder_ / "drafts").string())};
  }

  /// Backbone parameters of `model` that are the parent's bit for bit, and others.
  [[nodiscard]] std::pair<int, int> kept_and_changed(const model::Model& model) const {
    const model::Model before = parent();
    int kept = 0, changed = 0;
    for (const model::Parameter& p : before.parameters().list()) {
      const auto old = before.parameters().values_of(p);
      const auto now = model.parameters().values_of(model.parameters().find(p.name));
      ++(std::memcmp(old.data(), now.data(), old.size_bytes()) == 0 ? kept : changed);
    }
    return {kept, changed};
  }
};

TEST_F(AdaptTest, FrozenKeepsTheParentBitForBitAndLearnsToEvolve) {
  const model::Model adapted = adapt(AdaptRecipe::kFrozen, 150, "frozen");
  EXPECT_TRUE(adapted.config().flow);
  EXPECT_EQ(kept_and_changed(adapted).second, 0);
  const auto metrics = metrics_of(folder_ / "frozen");
  const double first = metrics.front().get_double("valid_inner_loss");
  const double last = metrics.back().get_double("valid_inner_loss");
  // The text repeats seven tokens: a guess costs log 7 = 1.9 nats, and there is much to gain.
  EXPECT_LT(last, first - 0.3);
  EXPECT_EQ(metrics.front().get_double("valid_ar_nll"), metrics.back().get_double("valid_ar_nll"));
}

TEST_F(AdaptTest, DraftsKeepsAllButWhatDraftsBitForBit) {
  const auto [before, after] = evolving_and_adapted(AdaptRecipe::kDrafts, 100);
  EXPECT_GT(after.config().ahead_size, 0);
  for (const model::Parameter& p : before.parameters().list()) {
    const auto old = before.parameters().values_of(p);
    const auto now = after.parameters().values_of(after.parameters().find(p.name));
    const bool same = std::memcmp(old.data(), now.data(), old.size_bytes()) == 0;
    EXPECT_EQ(same, !model::is_draft_parameter(p.name)) << p.name;
  }
  EXPECT_TRUE(std::ranges::equal(before.time().log_snr(), after.time().log_snr()));
  EXPECT_TRUE(std::ranges::equal(before.unigram(), after.unigram()));
  const auto metrics = metrics_of(folder_ / "drafts");
  EXPECT_LT(metrics.back().get_double("valid_ahead_loss"),
            metrics.front().get_double("valid_ahead_loss") - 0.3);
  EXPECT_EQ(metrics.front().get_double("valid_ar_nll"), metrics.back().get_double("valid_ar_nll"));
}

TEST_F(AdaptTest, FrozenTrainsTheAdapters) {
  const model::Model adapted = adapt(AdaptRecipe::kFrozen, 5, "frozen");
  int adapters = 0;
  for (const model::Parameter& p : adapted.parameters().list()) {
    if (p.name.find(".adapters.") == std::string::npos || !p.name.ends_with(".up.weight")) continue;
    ++adapters;
    const auto values = adapted.parameters().values_of(p);
    EXPECT_TRUE(std::ranges::any_of(values, [](float v) { return v != 0; })) << p.name;
  }
  EXPECT_EQ(adapters, 4 * adapted.config().num_hidden_layers);
}

TEST_F(AdaptTest, FullTrainsEverything) {
  const model::Model adapted = adapt(AdaptRecipe::kFull, 5, "full");
  EXPECT_EQ(kept_and_changed(adapted).first, 0);
}

/// A resumed run begins with its own weights, not with the parent's.
TEST_F(AdaptTest, AdoptsOnlyOnce) {
  adapt(AdaptRecipe::kFull, 5, "full");
  TrainOptions options = options_for(folder_ / "full");
  options.resume = true;
  options.initialize = [](model::Model&) { FAIL() << "a resumed run was initialised again"; };
  EXPECT_EQ(Trainer(config_for(AdaptRecipe::kFull, 8), tokens_, std::move(options)).run().step, 8);
}

TEST(AdaptRecipe, IsOneOfTwo) {
  EXPECT_EQ(parse_recipe("full"), AdaptRecipe::kFull);
  EXPECT_THROW((void)parse_recipe("half"), UsageError);
}

}  // namespace
}  // namespace evo::train
