// The Monte Carlo estimate of the entropic time table.
#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "base/threads/parallel.h"
#include "flow/code_posterior.h"
#include "flow/entropic_time.h"

namespace evo::flow {
namespace {

constexpr double kFirstLoss = 1e-3;      // 1 - t at the first knot
constexpr double kLastTime = 1e-3;       // t aimed at for the last knot
constexpr double kMaxUnresolved = 5e-4;  // t that equal codes may leave for ever
constexpr double kMinDrop = 1e-6;        // of t per knot: survives rounding to f32
constexpr double kWorkLimit = 0x1p28;    // exponentials
constexpr int kMinPairs = 16;
constexpr int kSearchPoints = 12;  // per round of the search for the last knot, two rounds

/// The latents: `pairs` tokens, each with one noise and its mirror image.
struct Draws {
  int pairs;
  uint64_t seed;
};

std::vector<double> evenly(double first, double last, int count) {
  std::vector<double> values(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    values[i] = std::lerp(first, last, static_cast<double>(i) / (count - 1));
  }
  return values;
}

/// Mean of H(w | z) / H(w) at each SNR, over the same latents in every call; the tokens are a
/// systematic sample of the unigram distribution.
std::vector<double> mean_times(const CodePosterior& posterior, std::span<const double> log_snr,
                               const Draws& draws) {
  constexpr uint64_t kOffsetStream = 0, kFirstNoiseStream = 1;
  const double offset = Random(draws.seed, kOffsetStream).uniform();
  const size_t knots = log_snr.size();
  std::vector<double> entropies(static_cast<size_t>(draws.pairs) * knots);
  parallel_items(draws.pairs, [&](int64_t pair) {
    const auto index = static_cast<uint64_t>(pair);
    const double quantile = (static_cast<double>(pair) + offset) / draws.pairs;
    std::vector<float> normal(static_cast<size_t>(posterior.code_size()));
    Random(draws.seed, kFirstNoiseStream + index).fill_normal(normal);
    posterior.entropies(posterior.token_at(quantile), normal, log_snr,
                        std::span(entropies).subspan(index * knots, knots));
  });
  std::vector<double> times(knots, 0.0);
  for (size_t i = 0; i < entropies.size(); ++i) times[i % knots] += entropies[i];
  for (double& t : times) t /= draws.pairs * posterior.entropy();
  return times;
}

/// The first log SNR of two rounds of evenly spaced ones in [first, last] at which t has come down
/// to kLastTime; `last` if there is none.
double find_end(const CodePosterior& posterior, double first, double last, const Draws& draws) {
  for (int round = 0; round < 2; ++round) {
    const std::vector<double> grid = evenly(first, last, kSearchPoints);
    const std::vector<double> times = mean_times(posterior, grid, draws);
    const auto low =
        std::find_if(times.begin(), times.end(), [](double t) { return t <= kLastTime; });
    if (low == times.end() || low == times.begin()) return last;
    const auto k = static_cast<size_t>(low - times.begin());
    first = grid[k - 1];
    last = grid[k];
  }
  return last;
}

/// The nearest non-increasing sequence (pool adjacent violators), then mixed with a falling line
/// so that every knot falls by at least kMinDrop.
void make_decreasing(std::vector<double>& times) {
  std::vector<std::pair<double, int>> pools;  // mean, size
  for (const double t : times) {
    pools.emplace_back(t, 1);
    while (pools.size() > 1 && pools[pools.size() - 2].first <= pools.back().first) {
      const auto [mean, size] = pools.back();
      pools.pop_back();
      auto& [into, total] = pools.back();
      into = (into * total + mean * size) / (total + size);
      total += size;
    }
  }
  const double steps = static_cast<double>(times.size()) + 1;
  const double share = kMinDrop * steps;
  size_t k = 0;
  for (const auto& [mean, size] : pools) {
    for (int i = 0; i < size; ++i, ++k) {
      times[k] = std::lerp(mean, 1 - static_cast<double>(k + 1) / steps, share);
    }
  }
}

Draws plan_draws(const CodePosterior& posterior, const EntropicTimeOptions& options) {
  const double levels = options.knots + 2 * kSearchPoints;
  const double allowed = kWorkLimit / (levels * static_cast<double>(posterior.count()));
  const double latents = std::min<double>(options.samples, allowed);
  return {std::max(kMinPairs, static_cast<int>(latents / 2)), options.seed};
}

}  // namespace

EntropicTime estimate_entropic_time(std::span<const float> codes, int64_t d,
                                    std::span<const float> unigram,
                                    const EntropicTimeOptions& options) {
  EVO_CHECK(options.knots >= 2 && options.knots <= 1000 && options.samples >= 1);
  const CodePosterior posterior(codes, d, unigram, kMaxUnresolved);
  const Draws draws = plan_draws(posterior, options);

  // At low SNR the information is g / 2 times the codes' variance, which places the first knot
  // without sampling.
  const double first = std::log(2 * kFirstLoss * posterior.entropy() / posterior.variance());
  if (!(first < options.max_log_snr - 1)) {
    fail(
        "codes are too close together: their variance is {:.2g}, expected about the code size {}; "
        "start from other codes",
        posterior.variance(), d);
  }
  const double last = find_end(posterior, first, options.max_log_snr, draws);
  std::vector<double> log_snr = evenly(first, last, options.knots);
  std::vector<double> times = mean_times(posterior, log_snr, draws);
  times[0] = 1 - kFirstLoss;
  for (double& t : times) t = std::clamp(t, 0.0, times[0]);
  make_decreasing(times);
  return EntropicTime(std::move(log_snr), std::move(times));
}

}  // namespace evo::flow
