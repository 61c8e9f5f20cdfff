#include "flow/code_posterior.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace evo::flow {
namespace {

constexpr int kLanes = 16;
using Lanes = float[kLanes];

/// Exponents of logits below the largest one are cut here: e^-80 is nothing next to 1, and still
/// a normal f32.
constexpr float kLowest = -80.0f;

void check_inputs(std::span<const float> codes, size_t d, std::span<const float> unigram) {
  constexpr double kTolerance = 1e-2;
  double total = 0;
  int64_t used = 0;
  for (size_t v = 0; v < unigram.size(); ++v) {
    if (!(unigram[v] >= 0)) {
      fail("unigram probability of token {} is {}, expected a number >= 0", v, unigram[v]);
    }
    total += static_cast<double>(unigram[v]);
    used += unigram[v] > 0;
    double square = 0;
    for (const float x : codes.subspan(v * d, d)) square += static_cast<double>(x * x);
    if (!(std::abs(square / static_cast<double>(d) - 1) < kTolerance)) {
      fail(
          "code of token {} has squared length {}, expected the code size {}; start from other "
          "codes",
          v, square, d);
    }
  }
  if (!(std::abs(total - 1) < kTolerance) || used < 2) {
    fail("unigram distribution: expected a sum of 1 over at least 2 tokens, found {} over {}",
         total, used);
  }
}

std::vector<size_t> used_tokens(std::span<const float> unigram) {
  std::vector<size_t> used;
  for (size_t v = 0; v < unigram.size(); ++v) {
    if (unigram[v] > 0) used.push_back(v);
  }
  return used;
}

/// Equal codes are never told apart. What they hide, exactly: the entropy within each group of
/// tokens with equal codes.
void check_distinct(std::span<const float> codes, size_t d, std::span<const float> unigram,
                    double allowed) {
  const auto row = [&](size_t v) { return codes.subspan(v * d, d); };
  std::vector<size_t> order = used_tokens(unigram);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::ranges::lexicographical_compare(row(a), row(b));
  });
  double hidden = 0, worst = 0;
  std::pair<size_t, size_t> example;
  for (size_t begin = 0, end; begin < order.size(); begin = end) {
    double mass = 0, self = 0;
    for (end = begin; end < order.size(); ++end) {
      if (!std::ranges::equal(row(order[begin]), row(order[end]))) break;
      const auto u = static_cast<double>(unigram[order[end]]);
      mass += u;
      self -= u * std::log(u);
    }
    if (end - begin < 2) continue;
    const double group = self + mass * std::log(mass);
    hidden += group;
    if (group > worst) example = std::minmax(order[begin], order[begin + 1]);
    worst = std::max(worst, group);
  }
  if (hidden > allowed) {
    fail(
        "codes must be distinct: tokens with equal codes (such as {} and {}) hide {:.2g} nats "
        "of a token for ever, at most {:.2g} are allowed; start from other codes",
        example.first, example.second, hidden, allowed);
  }
}

/// exp(x) for x in [kLowest, 0], relative error below 1e-6.
inline float exp_of_negative(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;  // few bits: n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float n = (x * kLog2E + kRounder) - kRounder;
  const float r = x - n * kLn2High - n * kLn2Low;  // |r| <= ln(2) / 2
  float p = 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
}

/// What the posterior's logits of one latent are made of.
struct Logits {
  const float* log_prior;  // [V']
  const float* signal;     // [V']  c(w).c(v) - d, so that the true token has about 0
  const float* noise;      // [V']  e.c(v)
  int64_t count;

  [[nodiscard]] float at(int64_t v, float g, float root_g) const {
    return log_prior[v] + g * signal[v] + root_g * noise[v];
  }
};

float largest_score(const Logits& logits, float g, float root_g) {
  Lanes best;
  std::fill_n(best, kLanes, -3e38f);
  for (int64_t v = 0; v < logits.count; v += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      const float x = logits.at(v + j, g, root_g);
      best[j] = best[j] > x ? best[j] : x;
    }
  }
  return *std::max_element(best, best + kLanes);
}

/// log Z - E[logit], relative to the largest logit.
double softmax_entropy(const Logits& logits, float g, float root_g) {
  const float largest = largest_score(logits, g, root_g);
  Lanes total = {}, weighted = {};
  for (int64_t v = 0; v < logits.count; v += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      float x = logits.at(v + j, g, root_g) - largest;
      x = x < kLowest ? kLowest : x;
      const float e = exp_of_negative(x);
      total[j] += e;
      weighted[j] += e * x;
    }
  }
  const double z = std::accumulate(total, total + kLanes, 0.0);
  return std::log(z) - std::accumulate(weighted, weighted + kLanes, 0.0) / z;
}

}  // namespace

CodePosterior::CodePosterior(std::span<const float> codes, int64_t d,
                             std::span<const float> unigram, double max_unresolved)
    : d_(d) {
  const auto width = static_cast<size_t>(d);
  EVO_CHECK(d >= 1 && codes.size() == unigram.size() * width);
  check_inputs(codes, width, unigram);
  const std::vector<size_t> used = used_tokens(unigram);
  const size_t padded = (used.size() + kLanes - 1) / kLanes * kLanes;
  count_ = static_cast<int64_t>(padded);
  codes_.assign(width * padded, 0.0f);
  log_prior_.assign(padded, -1e30f);
  cumulative_.assign(padded, 1.0);
  const double total = std::accumulate(unigram.begin(), unigram.end(), 0.0);
  std::vector<double> mean(width, 0.0);
  double sum = 0;
  for (size_t i = 0; i < used.size(); ++i) {
    const double u = static_cast<double>(unigram[used[i]]) / total;
    sum += u;
    entropy_ -= u * std::log(u);
    log_prior_[i] = static_cast<float>(std::log(u));
    if (i + 1 < used.size()) cumulative_[i] = sum;
    for (size_t k = 0; k < width; ++k) {
      codes_[k * padded + i] = codes[used[i] * width + k];
      mean[k] += u * static_cast<double>(codes[used[i] * width + k]);
    }
  }
  variance_ = static_cast<double>(d);
  for (const double m : mean) variance_ -= m * m;
  check_distinct(codes, width, unigram, max_unresolved * entropy_);
}

int64_t CodePosterior::token_at(double quantile) const {
  return std::upper_bound(cumulative_.begin(), cumulative_.end() - 1, quantile) -
         cumulative_.begin();
}

/// out [V'] = codes^T x for x [d], in slices that stay in the first-level cache.
void CodePosterior::project(std::span<const float> x, std::span<float> out) const {
  constexpr int64_t kSlice = 2048;
  std::fill(out.begin(), out.end(), 0.0f);
  float* const sums = out.data();
  for (int64_t begin = 0; begin < count_; begin += kSlice) {
    const int64_t end = std::min(count_, begin + kSlice);
    for (int64_t k = 0; k < d_; ++k) {
      const float* const row = codes_.data() + k * count_;
      const float scale = x[k];
      for (int64_t v = begin; v < end; ++v) sums[v] += scale * row[v];
    }
  }
}

void CodePosterior::entropies(int64_t token, std::span<const float> normal,
                              std::span<const double> log_snr, std::span<double> out) const {
  const auto d = static_cast<size_t>(d_);
  const auto count = static_cast<size_t>(count_);
  const auto own = static_cast<size_t>(token);
  EVO_CHECK(own < count && normal.size() == d && log_snr.size() == out.size());
  std::vector<float> code(d), signal(count), noise(count);
  for (size_t k = 0; k < d; ++k) code[k] = codes_[k * count + own];
  project(code, signal);
  project(normal, noise);
  const float square = signal[own];
  for (float& x : signal) x -= square;
  const Logits logits{log_prior_.data(), signal.data(), noise.data(), count_};
  for (size_t k = 0; k < log_snr.size(); ++k) {
    const auto g = static_cast<float>(std::exp(log_snr[k]));
    const float root = std::sqrt(g);
    out[k] = 0.5 * (softmax_entropy(logits, g, root) + softmax_entropy(logits, g, -root));
  }
}

}  // namespace evo::flow
