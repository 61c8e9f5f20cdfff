#include "decode/sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "ops/gumbel.h"
#include "ops/softmax.h"

namespace evo::decode {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr uint64_t kGumbelStream = 0x47756D62;

ops::GumbelNoise noise_at(uint64_t seed, int64_t position) {
  return {{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
          stream_id({kGumbelStream, static_cast<uint64_t>(position)})};
}

/// Throws Error if a logit is NaN.
size_t likeliest_token(std::span<const float> logits) {
  const int64_t best = ops::largest_logit(logits.data(), std::ssize(logits));
  if (best < 0) fail("the model's output is not a number: its weights are damaged");
  return static_cast<size_t>(best);
}

}  // namespace

void validate(const SamplerOptions& options) {
  if (!(options.temperature >= 0 && options.temperature <= kMaxTemperature)) {
    throw UsageError(fmt::format("--temperature {}: expected 0 (greedy) to {}", options.temperature,
                                 kMaxTemperature));
  }
  if (options.top_k < 0)
    throw UsageError(fmt::format("--top-k {}: expected 0 (all) or more", options.top_k));
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    throw UsageError(fmt::format("--top-p {}: expected above 0, at most 1", options.top_p));
  }
}

Sampler::Sampler(const SamplerOptions& options, uint64_t seed) : options_(options), seed_(seed) {
  validate(options);
}

int32_t Sampler::choose(std::span<const float> logits, int64_t position,
                        std::span<const int32_t> tokens) const {
  const size_t index = best(logits, position, tokens).index;
  return tokens.empty() ? static_cast<int32_t>(index) : tokens[index];
}

double Sampler::regret(std::span<const float> logits, int64_t position, int32_t token) const {
  const Best chosen = best(logits, position, {});
  const auto index = static_cast<size_t>(token);
  if (index == chosen.index) return 0;
  if (options_.temperature > 0 && !kept(logits, likeliest_token(logits)).has(logits, index)) {
    return kInfinity;
  }
  return chosen.score - score(logits[index], position, index);
}

double Sampler::score(float logit, int64_t position, size_t token) const {
  if (options_.temperature == 0) return logit;
  return logit / options_.temperature +
         ops::gumbel(noise_at(seed_, position).bits(static_cast<int64_t>(token)));
}

Sampler::Best Sampler::best(std::span<const float> logits, int64_t position,
                            std::span<const int32_t> tokens) const {
  EVO_CHECK(tokens.empty() || tokens.size() == logits.size());
  const auto token = [&](size_t i) { return tokens.empty() ? i : static_cast<size_t>(tokens[i]); };
  const size_t likeliest = likeliest_token(logits);
  Best result{likeliest, score(logits[likeliest], position, token(likeliest))};
  if (options_.temperature == 0) return result;
  const Kept keep = kept(logits, likeliest);
  const ops::GumbelNoise noise = noise_at(seed_, position);
  for (const ops::GumbelCandidate& other :
       ops::gumbel_candidates(noise, logits, tokens, options_.temperature, result.score)) {
    const auto i = static_cast<size_t>(other.index);
    if (i == likeliest || !keep.has(logits, i)) continue;
    const double own = logits[i] / options_.temperature + ops::gumbel(other.bits);
    if (own < result.score || (own == result.score && i > result.index)) continue;
    result = {i, own};
  }
  return result;
}

Sampler::Kept Sampler::kept(std::span<const float> logits, size_t likeliest) const {
  const size_t all = logits.size();
  const bool by_count = options_.top_k > 0 && options_.top_k < static_cast<int64_t>(all);
  if (!by_count && options_.top_p >= 1) return {-std::numeric_limits<float>::infinity(), all};
  const size_t limit = by_count ? static_cast<size_t>(options_.top_k) : all;
  const double top = logits[likeliest];
  const auto weight = [&](float logit) { return std::exp((logit - top) / options_.temperature); };
  double missing = kInfinity;  // of the mass that is to be kept
  if (options_.top_p < 1) {
    missing = 0;
    for (float logit : logits) missing += weight(logit);
    missing *= options_.top_p;
  }
  // The likeliest tokens in order, by growing runs: usually few are needed.
  std::vector<size_t> order(all);
  std::iota(order.begin(), order.end(), size_t{0});
  size_t sorted = 0, last = likeliest;
  for (size_t rank = 0; rank < limit && missing > 0; ++rank) {
    if (rank == sorted) {
      sorted = std::min(limit, std::max<size_t>(64, 4 * sorted));
      const auto at = [&](size_t i) { return order.begin() + static_cast<std::ptrdiff_t>(i); };
      std::partial_sort(at(rank), at(sorted), order.end(), [&](size_t a, size_t b) {
        return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
      });
    }
    last = order[rank];
    missing -= weight(logits[last]);
  }
  return {logits[last], last};
}

Verdict verify(std::span<const int32_t> drafts, std::span<const float> logits,
               const Sampler& sampler, int64_t position, double lenience, Shaper shaper) {
  const size_t vocabulary = logits.size() / (drafts.size() + 1);
  std::vector<float> shaped;
  for (size_t i = 0;; ++i) {
    if (i > 0) shaper.advance(drafts[i - 1]);
    const auto row = shaper.shape(logits.subspan(i * vocabulary, vocabulary), shaped);
    const auto accepted = static_cast<int64_t>(i);
    const int32_t choice = sampler.choose(row, position + accepted);
    if (i == drafts.size()) return {accepted, choice};
    if (drafts[i] == choice) continue;
    const bool close =
        lenience < 1 && sampler.regret(row, position + accepted, drafts[i]) <= -std::log(lenience);
    if (!close) return {accepted, choice};
  }
}

}  // namespace evo::decode
