// The ELBO that training reports is unbiased: against a quadrature that knows nothing of times,
// blocks or tables.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "flow/elbo.h"
#include "ops/codes.h"
#include "train/testing.h"

namespace evo::train {
namespace {

using testing::random_batch;

/// Two tokens, and a network whose hidden state is the same for every evolving row: attention adds
/// nothing, and of [z | x_prev | phi] only phi_0 = 1 is read. The posterior is then that of a fixed
/// prior, a wrong one, about which everything is known.
struct TwoTokens {
  TwoTokens() : config(testing::tiny_run(1)), model((config.vocab_size = 2, config), false) {
    model.initialize(3);
    model::ParameterStore& store = model.parameters();
    config.block_lengths = {1, 2};  // many independent times
    config.whole_block_share = 0;
    for (const model::Parameter& p : store.list()) {
      if (p.name.ends_with("o_proj.weight")) std::ranges::fill(store.values_of(p), 0.0f);
    }
    const tensor::Tensor evolve_in = store.tensor("evo.evolve_in.weight");
    for (int64_t r = 0; r < evolve_in.rows(); ++r) {
      for (int64_t c = 0; c < evolve_in.cols(); ++c) {
        evolve_in.row(r)[c] = c == 2 * config.code_size ? 1.0f + 0.1f * static_cast<float>(r) : 0;
      }
    }
    for (float& value : model.embedding().values()) value *= 8;  // makes the prior lopsided
  }

  /// Logit of token 0 less that of token 1, without the latent.
  [[nodiscard]] double prior_margin() const {
    model::ForwardInput input;
    input.z = tensor::Tensor::zeros({1, config.code_size});
    input.previous_x = tensor::Tensor::zeros({1, config.code_size});
    input.times = {0.5f};
    input.positions = {1};
    input.ranges = {{0, 0, 0, 1}};
    tensor::Tape tape(tensor::Tape::Mode::kInference);
    const tensor::Tensor h = model.forward(tape, input);
    const tensor::Tensor logits = ops::head_logits(tape, h, 0, 1, model.unembedding(), nullptr);
    return static_cast<double>(logits.f32()[0]) - logits.f32()[1];
  }

  /// |c(0) - c(1)|^2.
  [[nodiscard]] double distance() const {
    tensor::Tape tape(tensor::Tape::Mode::kInference);
    const tensor::Tensor codes = model.codes(tape);
    double sum = 0;
    for (int64_t j = 0; j < config.code_size; ++j) {
      const double difference = static_cast<double>(codes.row(0)[j]) - codes.row(1)[j];
      sum += difference * difference;
    }
    return sum;
  }

  RunConfig config;
  model::Model model;
};

/// Integral over g in [0, g_max] of 1/2 E |c - x|^2, the mean over both tokens being the true one.
/// With z = sqrt(a) c + sqrt(1 - a) e, the margin of the true token's logit is
/// +-prior + g D / 2 + sqrt(g D) e for e ~ N(0, 1) and D = |c(0) - c(1)|^2, and |c - x|^2 is
/// D sigmoid(-margin)^2. Midpoint rule in sqrt(g) and in e: both errors are below 1e-6.
double elbo_by_quadrature(double prior, double distance, double g_max) {
  constexpr int kLevels = 2000, kNoises = 200;
  constexpr double kNoiseRange = 8;
  const double width = std::sqrt(g_max) / kLevels, noise_width = 2 * kNoiseRange / kNoises;
  double integral = 0;
  for (int i = 0; i < kLevels; ++i) {
    const double root = (i + 0.5) * width, g = root * root;
    for (int k = 0; k < kNoises; ++k) {
      const double e = -kNoiseRange + (k + 0.5) * noise_width;
      const double weight = std::exp(-0.5 * e * e) / std::sqrt(2 * M_PI) * noise_width;
      for (double sign : {-1.0, 1.0}) {
        const double margin = sign * prior + g * distance / 2 + root * std::sqrt(distance) * e;
        const double wrong = 1 / (1 + std::exp(margin));
        integral += 0.5 * weight * 0.5 * distance * wrong * wrong * 2 * root * width;
      }
    }
  }
  return integral;
}

/// Mean of the ELBO that training_loss reports for random texts, plans and noise.
flow::RunningMean reported_elbo(const TwoTokens& net, bool mixed, int batches) {
  flow::RunningMean mean;
  for (int b = 0; b < batches; ++b) {
    TrainingBatch batch = random_batch(net.config, 8, static_cast<uint64_t>(1000 + b));
    Random random(static_cast<uint64_t>(b), 5);
    const double min_time = net.model.time().min_time();
    batch.plan = mixed ? sample_blocks(net.config, {8, batch.length}, min_time, random)
                       : elbo_blocks(8, batch.length, 3, min_time, random);
    tensor::Tape tape(tensor::Tape::Mode::kInference);
    const LossReport report = training_loss(tape, net.model, batch, {1, 0, 0});
    EXPECT_EQ(report.elbo_rows, std::ranges::count(batch.plan.uniform_time, 1));
    if (report.elbo_rows > 0) mean.add(report.elbo);
  }
  return mean;
}

TEST(ReportedElbo, IsUnbiasedForEveryTableAndPlan) {
  const testing::ThreadsInTest one_thread(1);
  TwoTokens net;
  const double prior = net.prior_margin(), distance = net.distance();
  ASSERT_TRUE(std::abs(prior) > 0.3 && std::abs(prior) < 3) << prior;  // wrong, but not absurd
  // A fine table, and one so coarse that its length 1 - min_time and every slope matter. Both end
  // before mistakes are so rare, and count so much, that their mean would be far from normal.
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  flow::EntropicTimeOptions options;
  options.max_log_snr = 0;
  const std::vector<float> unigram = {0.5f, 0.5f};
  const flow::EntropicTime fine = flow::estimate_entropic_time(
      net.model.codes(tape).values(), net.config.code_size, unigram, options);
  const flow::EntropicTime coarse({-3.0, -1.0, 0.5}, {0.75, 0.5, 0.25});
  for (const flow::EntropicTime& table : {fine, coarse}) {
    net.model.set_time(table);
    const double g_max = std::exp(net.model.time().log_snr().back());
    const double expected = elbo_by_quadrature(prior, distance, g_max);
    for (bool mixed : {false, true}) {
      const flow::RunningMean mean = reported_elbo(net, mixed, mixed ? 1200 : 600);
      SCOPED_TRACE(fmt::format("min_time {:.3f}, mixed {}: {:.5f} +- {:.5f}, expected {:.5f}",
                               net.model.time().min_time(), mixed, mean.mean(),
                               mean.standard_error(), expected));
      // Five standard errors: a right program fails for 6e-7 of all seeds. They must be small
      // enough, at most a tenth, for the comparison to mean something.
      EXPECT_TRUE(std::abs(mean.mean() - expected) < 5 * mean.standard_error());
      EXPECT_TRUE(5 * mean.standard_error() < 0.1 * expected);
    }
  }
}

TEST(ReportedElbo, IsAbsentWhereTimesAreNotUniformOrTheFlowIsOff) {
  const testing::ThreadsInTest one_thread(1);
  const TwoTokens net;
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  TrainingBatch batch = testing::planned_batch(net.config, net.model, 8, 1);
  const LossReport report = training_loss(tape, net.model, batch, {1, 0, 0});
  ASSERT_GT(report.elbo_rows, 0);
  EXPECT_GT(report.elbo, 0);
  EXPECT_EQ(training_loss(tape, net.model, batch, {0, 1, 1}).elbo_rows, 0);
  batch.self_condition = true;  // moves the times
  EXPECT_EQ(training_loss(tape, net.model, batch, {1, 0, 0}).elbo_rows, 0);
  batch.self_condition = false;
  std::ranges::fill(batch.plan.uniform_time, 0);
  EXPECT_EQ(training_loss(tape, net.model, batch, {1, 0, 0}).elbo_rows, 0);
}

}  // namespace
}  // namespace evo::train
