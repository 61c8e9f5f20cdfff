#include "eval/likelihood.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/testing.h"
#include "decode/testing.h"
#include "flow/elbo.h"
#include "flow/testing.h"

namespace evo::eval {
namespace {

using testing::distribution;
using testing::expect_error;
using testing::expect_mean;
using testing::kSigmas;
using testing::next_logits;
using testing::tiny_config;

const tokenizer::Tokenizer& bytes_only() {
  static const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::from_merges({});
  return tokenizer;
}

std::vector<int32_t> random_tokens(uint64_t seed, size_t count) {
  Random random(seed, 6);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random.below(257));
  return tokens;
}

double negative_log_softmax(std::span<const float> logits, int32_t token) {
  double mass = 0;
  for (float logit : logits) mass += std::exp(static_cast<double>(logit));
  return std::log(mass) - static_cast<double>(logits[token]);
}

LikelihoodOptions options_of(const char* path, int64_t context) {
  LikelihoodOptions options;
  options.score.path = flow::parse_path(path);
  options.context = context;
  return options;
}

// ------------------------------------------------------------- the autoregressive path

const model::Model& shared_model() {
  static const model::Model model = testing::tiny_model(tiny_config(257), 2);
  return model;
}

TEST(ArLikelihood, IsTheSumOfLogSoftmaxOverWindows) {
  std::vector<int32_t> tokens = random_tokens(1, 40);
  tokens[9] = tokens[25] = bytes_only().end_of_text();
  // 39 scored tokens in windows of 7: five whole ones, which share passes, and one of four.
  double nats = 0;
  for (size_t begin = 0; begin < 39; begin += 7) {
    const size_t length = std::min<size_t>(7, 39 - begin);
    for (size_t i = 1; i <= length; ++i) {
      const auto before = std::span(tokens).subspan(begin, i);
      nats += negative_log_softmax(next_logits(shared_model(), before), tokens[begin + i]);
    }
  }
  LikelihoodOptions options = options_of("ar", 7);
  options.batch = 3;
  const LikelihoodResult result = likelihood(shared_model(), bytes_only(), tokens, options);
  // Every term comes from logits below 16 in magnitude, which f32 rounds by up to 5e-7, twice.
  EXPECT_NEAR(result.nats_per_token, nats / 39, 2e-6);
  EXPECT_EQ(result.tokens, 39);
  EXPECT_EQ(result.bytes, 37);  // ends of texts are no bytes
  EXPECT_NEAR(result.bits_per_byte, nats / 37 / std::numbers::ln2, 4e-6);
  EXPECT_FALSE(result.bound);
}

TEST(ArLikelihood, TheLimitCountsTokens) {
  const std::vector<int32_t> tokens = random_tokens(1, 40);
  LikelihoodOptions options = options_of("ar", 7);
  options.limit = 17;
  std::vector<int64_t> progress;
  const LikelihoodResult limited = likelihood(shared_model(), bytes_only(), tokens, options,
                                              [&](int64_t done) { progress.push_back(done); });
  EXPECT_EQ(limited.tokens, 17);
  EXPECT_EQ(progress, (std::vector<int64_t>{14, 17}));
  options.limit = 0;
  const LikelihoodResult cut =
      likelihood(shared_model(), bytes_only(), std::span(tokens).first(18), options);
  EXPECT_EQ(cut.nats_per_token, limited.nats_per_token);
}

TEST(ArLikelihood, DependsNeitherOnBatchesNorOnThreads) {
  const std::vector<int32_t> tokens = random_tokens(2, 100);
  LikelihoodOptions options = options_of("ar", 9);
  LikelihoodResult first[2];
  for (int count : {1, 2}) {
    set_threads(count);
    options.batch = 1;
    const LikelihoodResult expected = likelihood(shared_model(), bytes_only(), tokens, options);
    for (int64_t batch : {2, 5, 11}) {
      options.batch = batch;
      const LikelihoodResult result = likelihood(shared_model(), bytes_only(), tokens, options);
      EXPECT_EQ(result.nats_per_token, expected.nats_per_token) << batch;
      EXPECT_EQ(result.standard_error, expected.standard_error) << batch;
    }
    first[count - 1] = expected;
  }
  set_threads(1);
  // Other threads may sum a product in another order on some machines: roundings of f32 logits.
  EXPECT_NEAR(first[1].nats_per_token, first[0].nats_per_token, 2e-6);
}

TEST(Likelihood, NeedsTwoTokensAndForBoundsTheFlow) {
  for (size_t count : {0, 1}) {
    expect_error(
        [&] {
          likelihood(shared_model(), bytes_only(), random_tokens(1, count), options_of("ar", 8));
        },
        {"at least 2"});
  }
  model::ModelConfig config = tiny_config(257);
  config.flow = false;
  const model::Model model = testing::tiny_model(config, 2);
  const std::vector<int32_t> tokens = random_tokens(1, 20);
  expect_error([&] { likelihood(model, bytes_only(), tokens, options_of("block:4", 8)); },
               {"only the path ar"});
  EXPECT_EQ(likelihood(model, bytes_only(), tokens, options_of("ar", 8)).tokens, 19);
}

// ------------------------------------------------------------------- bounds: the ELBO

/// Of the next token, whatever came before.
std::vector<float> token_distribution(const model::Model& model) {
  const int32_t any[] = {0};
  return distribution(next_logits(model, any), {.temperature = 1});
}

/// Entropic time that ends at t = 1/4: the integral and what is left for the reconstruction are
/// both a good part of the ELBO, and the rare large errors of nearly clean latents do not occur.
void set_coarse_time(model::Model& model) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor codes = model.codes(tape);
  const flow::EntropicTime full =
      flow::estimate_entropic_time(codes.values(), 8, token_distribution(model));
  std::vector<double> log_snr, times;
  for (size_t k = 0; k < full.time_values().size() && full.time_values()[k] > 0.25; ++k) {
    log_snr.push_back(full.log_snr()[k]);
    times.push_back(full.time_values()[k]);
  }
  model.set_time(flow::EntropicTime(log_snr, times));
}

/// A model whose tokens are independent and whose two streams agree on their distribution p: all
/// embeddings are one vector, which evolving tokens start from too, and the layers add nothing.
/// Then the ELBO's integral is not only a bound: along every path it is -log p(token) exactly, by
/// the relation of mutual information and mean squared error. `disagreement` makes what evolving
/// tokens believe beforehand depend on t, which no distribution does: then the bound is loose.
model::Model independent_model(float disagreement) {
  model::Model model(tiny_config(24), false);  // all zero
  const model::ParameterStore& parameters = model.parameters();
  Random random(8);
  std::vector<float> start(32), other(32);
  random.fill_normal(start);
  random.fill_normal(other);
  const tensor::Tensor embedding = parameters.tensor("model.embed_tokens.weight");
  for (int64_t v = 0; v < 24; ++v) std::ranges::copy(start, embedding.row(v));
  const tensor::Tensor evolve_in =
      parameters.tensor("evo.evolve_in.weight");  // [D, z | x | 1, t, ..]
  for (int64_t k = 0; k < 32; ++k) {
    evolve_in.row(k)[16] = start[k];
    evolve_in.row(k)[17] = disagreement * other[k];
  }
  std::ranges::fill(parameters.tensor("model.norm.weight").values(), 1.0f);
  for (float& value : parameters.tensor("lm_head.weight").values()) value = 0.2f * random.normal();
  random.fill_normal(parameters.tensor("evo.codes").values());
  model.pack(tensor::Precision::kF32);
  set_coarse_time(model);
  return model;
}

/// Tokens drawn from the model's p.
std::vector<int32_t> typical_tokens(const model::Model& model, uint64_t seed, size_t count) {
  const std::vector<float> p = token_distribution(model);
  Random random(seed, 7);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = random.categorical(p);
  return tokens;
}

double ar_nats(const model::Model& model, std::span<const int32_t> tokens) {
  return likelihood(model, bytes_only(), tokens, options_of("ar", 64)).nats_per_token;
}

/// The ELBO of the tokens for many draws of times and noise.
flow::RunningMean elbo_over_seeds(const model::Model& model, std::span<const int32_t> tokens,
                                  const char* path) {
  LikelihoodOptions options = options_of(path, 32);
  options.score.time_samples = 1;
  flow::RunningMean mean;
  for (options.score.seed = 0; options.score.seed < 120; ++options.score.seed) {
    const LikelihoodResult result = likelihood(model, bytes_only(), tokens, options);
    EXPECT_TRUE(result.bound);
    mean.add(result.nats_per_token);
  }
  return mean;
}

class ElboPath : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Likelihood, ElboPath, ::testing::Values("block:1", "block:5", "diagonal"));

TEST_P(ElboPath, IsTheLikelihoodWhereBothStreamsAgree) {
  const model::Model model = independent_model(0);
  const std::vector<int32_t> tokens = typical_tokens(model, 1, 129);
  const flow::RunningMean elbo = elbo_over_seeds(model, tokens, GetParam());
  expect_mean(elbo, ar_nats(model, tokens));
  EXPECT_TRUE(elbo.standard_error() < 0.01 * elbo.mean()) << "too noisy to say anything";
}

TEST_P(ElboPath, IsAboveItWhereTheyDisagree) {
  const model::Model model = independent_model(4);
  const std::vector<int32_t> tokens = typical_tokens(model, 1, 129);
  const flow::RunningMean elbo = elbo_over_seeds(model, tokens, GetParam());
  EXPECT_TRUE(elbo.mean() - ar_nats(model, tokens) > kSigmas * elbo.standard_error())
      << elbo.mean();
}

TEST_P(ElboPath, IsAFunctionOfTheSeedNotOfThreads) {
  const std::vector<int32_t> tokens = random_tokens(2, 60);
  LikelihoodOptions options = options_of(GetParam(), 9);
  options.score.time_samples = 2;
  const auto nats = [&] {
    return likelihood(shared_model(), bytes_only(), tokens, options).nats_per_token;
  };
  const double expected = nats();
  EXPECT_EQ(nats(), expected);
  set_threads(2);
  // Where threads change roundings, logits of up to kappa d = 6e4 do so by 4e-3.
  EXPECT_NEAR(nats(), expected, 4e-3);
  set_threads(1);
  // Self-conditioning changes what the second pass reads, and nothing else.
  options.score.self_condition = false;
  EXPECT_GT(std::abs(nats() - expected), 0.02);
  options.score.self_condition = true;
  options.score.seed = 2;
  EXPECT_GT(std::abs(nats() - expected), 0.02);
}

// ---------------------------------------------------------------- the standard error

/// Spread of the results for many texts of 20 windows, squared, over the square of what each of
/// them states as its error. 200 texts give the ratio a standard deviation of sqrt(2 / 199) = 0.1
/// around 1 if the stated error is right.
double spread_ratio(const model::Model& model, const char* path) {
  LikelihoodOptions options = options_of(path, 8);
  options.score.time_samples = 1;
  flow::RunningMean nats, stated;
  for (options.score.seed = 0; options.score.seed < 200; ++options.score.seed) {
    const std::vector<int32_t> tokens = typical_tokens(model, options.score.seed, 20 * 8 + 1);
    const LikelihoodResult result = likelihood(model, bytes_only(), tokens, options);
    nats.add(result.nats_per_token);
    stated.add(result.standard_error * result.standard_error);
  }
  const std::vector<float> p = token_distribution(model);
  const std::vector<double> distribution(p.begin(), p.end());
  expect_mean(nats, testing::entropy(distribution), 1e-5);  // f32 nats
  return nats.variance() / stated.mean();
}

TEST(StandardError, IsTheSpreadOverTexts) {
  const model::Model model = independent_model(0);
  EXPECT_NEAR(spread_ratio(model, "ar"), 1, kSigmas * 0.1);
  // The low-discrepancy times of one batch may make a bound steadier than its windows suggest.
  for (const char* path : {"block:1", "diagonal"}) {
    const double ratio = spread_ratio(model, path);
    EXPECT_TRUE(ratio < 1 + kSigmas * 0.1 && ratio > 0.3) << path << ' ' << ratio;
  }
}

TEST(StandardError, OfOneWindowIsUnknown) {
  const LikelihoodResult result =
      likelihood(shared_model(), bytes_only(), random_tokens(1, 9), options_of("ar", 64));
  EXPECT_EQ(result.tokens, 8);
  EXPECT_TRUE(std::isnan(result.standard_error));
}

}  // namespace
}  // namespace evo::eval
