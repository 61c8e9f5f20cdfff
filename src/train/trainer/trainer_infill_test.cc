// Training that rearranges sequences: when it does, and that the network learns to use the suffix.
#include <gtest/gtest.h>

#include <cmath>

#include "train/examples/infill.h"
#include "train/trainer/trainer_testing.h"

namespace evo::train {
namespace {

namespace fs = std::filesystem;
using testing::arrays_at;
using testing::metrics_of;
using testing::options_for;
using testing::tiny_run;

using InfillTraining = testing::TrainerTest;

constexpr int32_t kEndOfText = 15;

TEST_F(InfillTraining, HappensForAShareAboveNoneAndAnEndOfText) {
  for (bool flow : {false, true}) {
    RunConfig config = tiny_run(2);
    config.flow = flow;
    const auto arrays = [&](const char* name, double share, int32_t end_of_text) {
      const fs::path out = folder_ / fmt::format("{}-{}", name, flow);
      config.infill_share = share;
      TrainOptions options = options_for(out);
      options.end_of_text = end_of_text;
      Trainer(config, tokens_, options).run();
      return arrays_at(out, 2);
    };
    const std::string plain = arrays("plain", 0, -1);
    EXPECT_TRUE(arrays("no-share", 0, kEndOfText) == plain);
    EXPECT_TRUE(arrays("no-end", 1, -1) == plain);
    EXPECT_FALSE(arrays("all", 1, kEndOfText) == plain);
  }
}

TEST_F(InfillTraining, ValidationIsOfTheTextAsItIs) {
  RunConfig config = tiny_run(1);
  config.learning_rate = 1e-12;  // lost in the last digits: nothing is learned
  config.average_decay = 0;
  const TrainSummary plain = train(config, folder_ / "plain");
  config.infill_share = 1;
  const TrainSummary infilled = train(config, folder_ / "infilled");
  EXPECT_NE(infilled.last.ar_nll, plain.last.ar_nll);
  EXPECT_EQ(infilled.validation.ar_nll, plain.validation.ar_nll);
  EXPECT_EQ(infilled.validation.elbo, plain.validation.elbo);
}

TEST_F(InfillTraining, EverySequenceHasItsOwnDraw) {
  RunConfig config = tiny_run(20);
  config.flow = false;
  config.batch_size = 1;
  config.learning_rate = 1e-12;  // as above: a loss tells whether its sequence is in order
  train(config, folder_ / "plain");
  config.infill_share = 0.5;
  train(config, folder_ / "half");
  const std::vector<json::Record> plain = metrics_of(folder_ / "plain");
  const std::vector<json::Record> half = metrics_of(folder_ / "half");
  ASSERT_EQ(half.size(), 20u);
  int in_order = 0;
  for (size_t i = 0; i < 20; ++i) {
    in_order += half[i].get_double("ar_nll") == plain[i].get_double("ar_nll") ? 1 : 0;
  }
  // One draw for all would make it 0 or 20; two out of a million seeds do, too.
  EXPECT_GT(in_order, 0);
  EXPECT_LT(in_order, 20);
}

/// Tokens 2 u + v where v is a random bit and u the v before: what comes next is one of two tokens,
/// and the token after that tells which.
std::vector<int32_t> linked_tokens(int64_t count, uint64_t seed) {
  Random random(seed, 9);
  std::vector<int32_t> tokens;
  int32_t before = 0;
  for (int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<int32_t>(random.below(2));
    tokens.push_back(2 * before + value);
    before = value;
  }
  return tokens;
}

/// Four rows are one of the prefix, one of the suffix and two of the middle, of which the first has
/// the one token of the middle as its target.
constexpr int64_t kLength = 4, kMiddleRow = 2;

/// Mean loss of the middle's token, in nats.
double middle_loss(const model::Model& model) {
  constexpr int64_t kSequences = 400;
  TrainingBatch batch =
      TrainingBatch::from_texts(linked_tokens(kSequences * (kLength + 1), 2), kSequences);
  infill(batch, {1, kEndOfText, model.config().max_position_embeddings, 3}, 0);
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor h = model.forward(tape, two_stream_input(batch, {}));
  const std::vector<float> ones(batch.targets.size(), 1.0f);
  const ops::HeadLosses losses{batch.targets, ones};
  const std::vector<float> nll =
      ops::head(tape, h, 0, h.rows(), model.unembedding(), nullptr, &losses).nll;
  double sum = 0;
  for (int64_t s = 0; s < kSequences; ++s) sum += nll[s * kLength + kMiddleRow];
  return sum / static_cast<double>(kSequences);
}

TEST_F(InfillTraining, TheSuffixTellsTheMiddle) {
  RunConfig config = tiny_run(600);
  config.sequence_length = kLength;
  config.batch_size = 32;
  config.flow = false;
  config.learning_rate = 3e-3;
  config.warmup = 0.1;
  config.weight_decay = 0;
  config.average_decay = 0;
  config.validate_every = 1000;
  data::write_tokens(folder_ / "linked", linked_tokens(20000, 1), 1, 2);
  const data::TokenFile tokens(folder_ / "linked");
  const auto loss_at = [&](double share) {
    const fs::path out = folder_ / fmt::format("{}", share);
    config.infill_share = share;
    Trainer(config, tokens, options_for(out)).run();
    return middle_loss(model::Model::load(out.string()));
  };
  // Without the suffix nothing gets below ln 2, but for the luck of 400 draws.
  const double of_prefix = std::log(2.0), with = loss_at(1), without = loss_at(0);
  EXPECT_TRUE(with < 0.5 * of_prefix) << with;
  EXPECT_TRUE(without > 0.9 * of_prefix) << without;
}

}  // namespace
}  // namespace evo::train
