#include "decode/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace evo {
namespace {

size_t argmax(std::span<const float> values) {
  return static_cast<size_t>(std::ranges::max_element(values) - values.begin());
}

/// Zeroes everything outside the top_k likeliest and the smallest set of mass top_p.
void truncate(std::vector<float>& p, const SamplerOptions& options) {
  const bool by_count = options.top_k > 0 && options.top_k < static_cast<int64_t>(p.size());
  if (!by_count && options.top_p >= 1) return;
  std::vector<int32_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) {
    return p[static_cast<size_t>(a)] > p[static_cast<size_t>(b)];
  });
  const size_t limit = by_count ? static_cast<size_t>(options.top_k) : p.size();
  double mass = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    float& value = p[static_cast<size_t>(order[rank])];
    if (rank >= limit || (rank > 0 && mass >= options.top_p)) {
      value = 0;
    } else {
      mass += value;
    }
  }
  for (float& value : p) value = static_cast<float>(value / mass);
}

/// The distribution of the replacement after a rejection: (p / lenience - q)+, normalised.
std::vector<float> residual(std::span<const float> p, std::span<const float> q, double lenience) {
  std::vector<float> left(p.size());
  double mass = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    left[i] = static_cast<float>(std::max(0.0, p[i] / lenience - q[i]));
    mass += left[i];
  }
  // A rejection has probability zero where nothing is left; rounding can still lead here.
  if (!(mass > 0)) left.assign(p.begin(), p.end());
  return left;
}

bool accepts(const Draft& draft, std::span<const float> p, std::span<const float> logits,
             const SamplerOptions& options, double lenience, Random& random) {
  const auto token = static_cast<size_t>(draft.token);
  if (options.temperature == 0 && lenience < 1) {
    return logits[token] >= logits[argmax(logits)] + std::log(lenience);
  }
  return random.uniform() * lenience * draft.q[token] < p[token];
}

}  // namespace

void validate(const SamplerOptions& options) {
  if (!(options.temperature >= 0 && options.temperature <= 100)) {
    throw UsageError(
        fmt::format("--temperature {}: expected 0 (greedy) to 100", options.temperature));
  }
  if (options.top_k < 0)
    throw UsageError(fmt::format("--top-k {}: expected 0 (all) or more", options.top_k));
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    throw UsageError(fmt::format("--top-p {}: expected above 0, at most 1", options.top_p));
  }
}

std::vector<float> distribution(std::span<const float> logits, const SamplerOptions& options) {
  for (float logit : logits) {
    if (std::isnan(logit)) fail("the model's output is not a number: its weights are damaged");
  }
  std::vector<float> p(logits.size(), 0.0f);
  const size_t best = argmax(logits);
  if (options.temperature == 0) {
    p[best] = 1;
    return p;
  }
  const double top = logits[best];
  double mass = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    p[i] = static_cast<float>(std::exp((logits[i] - top) / options.temperature));
    mass += p[i];
  }
  for (float& value : p) value = static_cast<float>(value / mass);
  truncate(p, options);
  return p;
}

Verdict verify(std::span<const Draft> drafts, std::span<const float> logits,
               const SamplerOptions& options, double lenience, Random& random) {
  const size_t vocabulary = logits.size() / (drafts.size() + 1);
  for (size_t i = 0;; ++i) {
    const auto row = logits.subspan(i * vocabulary, vocabulary);
    const std::vector<float> p = distribution(row, options);
    const auto accepted = static_cast<int64_t>(i);
    if (i == drafts.size()) return {accepted, random.categorical(p)};
    if (!accepts(drafts[i], p, row, options, lenience, random)) {
      const std::vector<float> left = residual(p, drafts[i].q, lenience);
      return {accepted, random.categorical(left)};
    }
  }
}

}  // namespace evo
