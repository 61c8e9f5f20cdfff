#include "flow/elbo.h"

#include <algorithm>

#include "flow/entropic_time.h"
#include "flow/testing.h"

namespace evo::flow {
namespace {

using testing::expect_mean;
using testing::kSigmas;

TEST(StratifiedTimes, OnePerStratum) {
  const std::vector<double> times = stratified_times(4, 0.25, 0.2);
  ASSERT_EQ(times.size(), 4u);
  for (size_t i = 0; i < times.size(); ++i) {
    EXPECT_NEAR(times[i], 0.2 + 0.8 * (static_cast<double>(i) + 0.25) / 4, 1e-15);
  }
  EXPECT_EQ(stratified_times(3, 0.0, 0.1).front(), 0.1);
  EXPECT_TRUE(stratified_times(0, 0.5, 0.1).empty());
}

TEST(RunningMean, AgreesWithTheTwoPassFormulas) {
  // An offset of 1e8 leaves 8 digits: the naive sum of squares would lose all of them.
  const std::vector<double> values = {1e8 + 1, 1e8 + 2, 1e8 + 4, 1e8 + 8, 1e8 + 16};
  RunningMean all, left, right;
  for (size_t i = 0; i < values.size(); ++i) {
    all.add(values[i]);
    (i < 2 ? left : right).add(values[i]);
  }
  EXPECT_EQ(all.count(), 5);
  EXPECT_NEAR(all.mean(), 1e8 + 6.2, 1e-6);
  EXPECT_NEAR(all.variance(), 37.2, 1e-5);
  EXPECT_NEAR(all.standard_error(), std::sqrt(37.2 / 5), 1e-5);
  left.merge(right);
  EXPECT_EQ(left.count(), 5);
  EXPECT_NEAR(left.mean(), all.mean(), 1e-6);
  EXPECT_NEAR(left.variance(), all.variance(), 1e-5);
  RunningMean empty;
  empty.merge(RunningMean{});
  EXPECT_TRUE(std::isnan(empty.standard_error()));
  empty.merge(all);
  EXPECT_EQ(empty.variance(), all.variance());
}

/// One token without context: prior p, codes, the exact posterior.
struct Source {
  int d = 2;
  std::vector<double> codes = testing::random_codes(5, 2, 1.0, 21);
  std::vector<double> prior = testing::random_distribution(5, 1.0, 21);

  struct View {
    double squared_error;  ///< |c(w) - E[c | z]|^2
    double nll;            ///< -log p(w | z)
  };

  /// A latent of `token` at SNR g, as the exact posterior sees it.
  [[nodiscard]] View view(size_t token, double g, Random& random) const {
    const auto width = static_cast<size_t>(d);
    std::vector<double> logits(prior.size());
    for (size_t v = 0; v < prior.size(); ++v) logits[v] = std::log(prior[v]);
    for (size_t k = 0; k < width; ++k) {
      const double y =
          g * codes[token * width + k] + std::sqrt(g) * static_cast<double>(random.normal());
      for (size_t v = 0; v < prior.size(); ++v) logits[v] += y * codes[v * width + k];
    }
    testing::normalise_logits(logits);
    View out{0, -std::log(logits[token])};
    for (size_t k = 0; k < width; ++k) {
      double error = codes[token * width + k];
      for (size_t v = 0; v < prior.size(); ++v) error -= logits[v] * codes[v * width + k];
      out.squared_error += error * error;
    }
    return out;
  }
};

/// The ELBO over entropic time; one unit is one text with its stratified times.
RunningMean estimate_elbo(const Source& source, const EntropicTime& table) {
  constexpr int kUnits = 16000, kTimes = 16;
  RunningMean mean;
  for (uint64_t unit = 0; unit < kUnits; ++unit) {
    Random random(31, unit);
    const size_t token = testing::draw(source.prior, random);
    double sum = 0;
    for (const double t : stratified_times(kTimes, random.uniform(), table.min_time())) {
      sum += elbo_rate(source.view(token, table.snr(t), random).squared_error, table.snr_slope(t));
    }
    const double end = table.snr(table.min_time());
    mean.add(elbo_weight(table.min_time()) * sum / kTimes + source.view(token, end, random).nll);
  }
  return mean;
}

TEST(Elbo, IsTheEntropyWhateverTheTable) {
  const Source source;
  const double h = testing::entropy(source.prior);
  const EntropicTime tables[] = {
      EntropicTime::standard(source.d),
      // Deliberately odd: uneven knots, and as much time left at its last knot as at its middle.
      EntropicTime({-2.5, -1.0, -0.9, 0.5, 1.0, 2.5}, {0.95, 0.9, 0.6, 0.55, 0.3, 0.25}),
      EntropicTime({0.0, 1.0}, {0.5, 0.4})};
  for (const EntropicTime& table : tables) {
    SCOPED_TRACE(table.min_time());
    const RunningMean estimate = estimate_elbo(source, table);
    expect_mean(estimate, h);
    EXPECT_LT(kSigmas * estimate.standard_error(), 0.06 * h);
  }
}

}  // namespace
}  // namespace evo::flow
