// What the tests of decoding share: a goodness-of-fit test with a stated false-alarm rate, the
// autoregressive distribution by enumeration, a model that recites a text.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include "decode/sampling/sampler.h"
#include "model/testing.h"
#include "tokenizer/tokenizer.h"

namespace evo::testing {

struct ChiSquare {
  double statistic = 0;
  double limit = 0;  ///< exceeded with probability 1e-6 if the counts follow the distribution
  int cells = 0;
};

/// Pearson's test of `counts` against `probabilities`. Cells that expect fewer than 5 draws are one
/// cell: below that the statistic is not chi-square. The quantile is Wilson and Hilferty's (1931).
inline ChiSquare chi_square(std::span<const double> counts, std::span<const double> probabilities) {
  double draws = 0;
  for (double count : counts) draws += count;
  ChiSquare result;
  double rare_count = 0, rare_expected = 0;
  const auto add = [&](double count, double expected) {
    result.statistic += (count - expected) * (count - expected) / expected;
    ++result.cells;
  };
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = draws * probabilities[i];
    if (expected == 0 && counts[i] > 0) {  // one draw of what cannot happen is too many
      result.statistic = std::numeric_limits<double>::infinity();
    } else if (expected >= 5) {
      add(counts[i], expected);
    } else {
      rare_count += counts[i];
      rare_expected += expected;
    }
  }
  if (rare_expected > 0) add(rare_count, rare_expected);
  const double freedom = result.cells - 1;
  const double spread = 2 / (9 * freedom);
  constexpr double kNormalQuantile = 4.7534;  // of 1 - 1e-6
  result.limit = freedom * std::pow(1 - spread + kNormalQuantile * std::sqrt(spread), 3);
  return result;
}

/// Checks that the counts follow the distribution, over at least `cells` cells that are frequent
/// enough to be judged alone. A right program fails with probability 1e-6. NaN fails.
inline void expect_distributed(std::span<const double> counts,
                               std::span<const double> probabilities, int cells) {
  const ChiSquare result = chi_square(counts, probabilities);
  EXPECT_GE(result.cells, cells);
  EXPECT_TRUE(result.statistic < result.limit) << result.statistic << ", limit " << result.limit;
}

/// Logits [V] of the token after `text`, from one pass over all of it.
inline std::vector<float> next_logits(const model::Model& model, std::span<const int32_t> text) {
  model::ForwardInput input;
  for (int32_t r = 0; r < std::ssize(text); ++r) {
    input.ids.push_back(text[r]);
    input.positions.push_back(r);
    input.ranges.push_back({0, r + 1, 0, 0});
  }
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor h = model.forward(tape, input);
  const tensor::Tensor logits =
      ops::head_logits(tape, h, h.rows() - 1, 1, model.unembedding(), nullptr);
  return {logits.values().begin(), logits.values().end()};
}

/// The distribution [V] that the options make of logits, written down plainly; greedy is a point
/// mass.
inline std::vector<float> distribution(std::span<const float> logits,
                                       const decode::SamplerOptions& options) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  std::vector<double> p(logits.size());
  double all = 0, kept = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double temperature = options.temperature == 0 ? 1 : options.temperature;
    all += p[i] = std::exp((logits[i] - logits[order[0]]) / temperature);
  }
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const bool too_many = options.top_k > 0 && static_cast<int64_t>(rank) >= options.top_k;
    const bool enough = rank > 0 && kept >= options.top_p * all;
    const bool other = options.temperature == 0 && rank > 0;
    double& value = p[order[rank]];
    if (too_many || enough || other) value = 0;
    kept += value;
  }
  std::vector<float> result;
  for (double value : p) result.push_back(static_cast<float>(value / kept));
  return result;
}

/// Probability of every continuation of `prompt` by `length` tokens, the first token the most
/// significant digit. After `end` there is only `end`.
inline std::vector<double> continuations(const model::Model& model, std::vector<int32_t> prompt,
                                         int length, const decode::SamplerOptions& sampler,
                                         int32_t end) {
  if (length == 0) return {1.0};
  const auto vocabulary = static_cast<size_t>(model.config().vocab_size);
  std::vector<float> p(vocabulary, 0.0f);
  if (prompt.back() == end) {
    p[end] = 1;
  } else {
    p = distribution(next_logits(model, prompt), sampler);
  }
  std::vector<double> result;
  for (size_t token = 0; token < vocabulary; ++token) {
    prompt.push_back(static_cast<int32_t>(token));
    for (double rest : continuations(model, prompt, length - 1, sampler, end)) {
      result.push_back(p[token] * rest);
    }
    prompt.pop_back();
  }
  return result;
}

/// A model over bytes that, decoded greedily, continues each byte of `script` by the next one and
/// the last byte by the end of the text. Bytes must not repeat. Its drafts are always right, and
/// it knows: an exact session commits a whole window per pass. `ends` are what its files say.
inline model::Model reciting_model(const tokenizer::Tokenizer& tokenizer, std::string_view script,
                                   std::vector<int64_t> ends = {}) {
  model::ModelConfig config = tiny_config(tokenizer.vocab_size());
  config.eos_token_ids = std::move(ends);
  config.hidden_size = config.inner_size = 128;
  model::Model model(config, false);  // all zero: layers add nothing, evolving tokens stay at 0
  model::ParameterStore& parameters = model.parameters();
  Random random(1, 5);
  const tensor::Tensor embedding = parameters.tensor("model.embed_tokens.weight");
  for (float& value : embedding.values()) value = random.normal();
  random.fill_normal(parameters.tensor("evo.codes").values());
  std::ranges::fill(parameters.tensor("model.norm.weight").values(), 1.0f);
  // The logit of the right token is |E|^2, about 128; the others' deviation is sqrt(128).
  const tensor::Tensor head = parameters.tensor("lm_head.weight");
  for (size_t i = 0; i < script.size(); ++i) {
    const int32_t next =
        i + 1 < script.size() ? static_cast<unsigned char>(script[i + 1]) : tokenizer.end_of_text();
    std::ranges::copy(std::span(embedding.row(static_cast<unsigned char>(script[i])), 128),
                      head.row(next));
  }
  // The inner field hands on (a running average of) tanh of the embedding of the token before.
  const tensor::Tensor in = parameters.tensor("evo.inner.in.weight");
  const tensor::Tensor out = parameters.tensor("evo.inner.out.weight");
  for (int64_t i = 0; i < 128; ++i) in.row(128 + i)[128 + i] = out.row(i)[i] = 1;
  parameters.tensor("evo.maturity.weight").values().back() = 20;  // the bias
  model.pack(tensor::Precision::kF32);
  return model;
}

}  // namespace evo::testing
