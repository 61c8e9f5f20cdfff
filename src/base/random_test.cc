#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <set>
#include <vector>

namespace evo {
namespace {

// Every statistical comparison here rejects a right generator with probability 1e-6 at most.
constexpr double kNormalQuantile = 4.8917;    // two-sided, at 1e-6
constexpr double kOneSidedQuantile = 4.7535;  // one-sided, at 1e-6
constexpr int kDraws = 200'000;

/// Kolmogorov-Smirnov: sup |F_n - F| <= sqrt(ln(2 / 1e-6) / 2n), which holds for every n (Massart
/// 1990, "The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality").
void expect_distribution(std::vector<double> sample, const std::function<double(double)>& cdf) {
  std::sort(sample.begin(), sample.end());
  const auto n = static_cast<double>(sample.size());
  const double bound = std::sqrt(std::log(2 / 1e-6) / (2 * n));
  double distance = 0;
  for (size_t i = 0; i < sample.size(); ++i) {
    const double expected = cdf(sample[i]);
    ASSERT_FALSE(std::isnan(expected));
    const auto rank = static_cast<double>(i);
    distance = std::max({distance, (rank + 1) / n - expected, expected - rank / n});
  }
  EXPECT_LE(distance, bound);
}

/// Pearson's chi-square of counts against probabilities; quantile by Wilson and Hilferty 1931.
void expect_frequencies(const std::vector<int>& counts, const std::vector<double>& probabilities) {
  ASSERT_EQ(counts.size(), probabilities.size());
  double total = 0, statistic = 0;
  for (const int count : counts) total += count;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = total * probabilities[i];
    ASSERT_GT(expected, 100);  // so that the statistic is nearly chi-square distributed
    statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  const double freedom = static_cast<double>(counts.size()) - 1;
  const double spread = 2 / (9 * freedom);
  const double quantile = freedom * std::pow(1 - spread + kOneSidedQuantile * std::sqrt(spread), 3);
  EXPECT_LE(statistic, quantile);
}

std::vector<double> normals(Random random, int count = kDraws) {
  std::vector<double> values(static_cast<size_t>(count));
  for (double& value : values) value = random.normal();
  return values;
}

/// Mean of a_i b_i, a sum of products of independent standard normals: its variance is 1 / n.
void expect_uncorrelated(const std::vector<double>& a, const std::vector<double>& b) {
  const size_t n = std::min(a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += a[i] * b[i];
  EXPECT_LE(std::abs(sum), kNormalQuantile * std::sqrt(static_cast<double>(n)));
}

// The file kat_vectors of Random123, the authors' library.
TEST(Philox, KnownAnswers) {
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// Files, checkpoints and measurements rely on it: a draw depends on seed, stream and index only.
TEST(Random, ADrawIsAFunctionOfSeedStreamAndIndex) {
  const uint64_t seed = 0x0123456789ABCDEFu, stream = 0xFEDCBA9876543210u;
  Random random(seed, stream), other(seed + 1, stream);
  for (uint32_t index = 0; index < 100; ++index) {
    const auto block = philox({index / 4, 0, 0x76543210u, 0xFEDCBA98u}, {0x89ABCDEFu, 0x01234567u});
    EXPECT_EQ(random.next(), block[index % 4]) << index;
    (void)other.normal();
  }
}

TEST(Random, ACopyContinuesAlike) {
  Random random(7, 3);
  (void)random.normal();  // leaves a spare one
  (void)random.next();
  Random copy = random;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(copy.normal(), random.normal());
    EXPECT_EQ(copy.next64(), random.next64());
  }
}

TEST(Random, UniformsAreUniform) {
  Random random(1);
  std::vector<double> values(kDraws);
  for (double& value : values) {
    value = random.uniform();
    ASSERT_TRUE(value >= 0 && value < 1);
  }
  expect_distribution(values, [](double x) { return x; });
}

TEST(Random, EveryBitIsFair) {
  Random random(2);
  std::array<int, 64> ones{};
  for (int i = 0; i < kDraws; ++i) {
    const uint64_t word = random.next64();
    for (size_t bit = 0; bit < 64; ++bit) ones[bit] += static_cast<int>(word >> bit & 1);
  }
  // Each count is binomial(n, 1/2); 64 at once, so that a quantile at 1e-6 / 64 is needed: 5.66.
  for (const int count : ones) {
    EXPECT_LE(std::abs(count - kDraws / 2.0), 5.66 * std::sqrt(kDraws / 4.0));
  }
}

TEST(Random, NormalsAreNormal) {
  constexpr int kMany = 10 * kDraws;  // sees a variance that is off by half a percent
  const std::vector<double> values = normals(Random(3), kMany);
  expect_distribution(values, [](double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; });
  double first = 0, second = 0, third = 0, fourth = 0;
  for (const double x : values) {
    first += x;
    second += x * x - 1;
    third += x * x * x;
    fourth += x * x * x * x - 3;
  }
  // Variances of x, x^2, x^3, x^4 of a standard normal: 1, 2, 15, 96.
  const double scale = kNormalQuantile * std::sqrt(static_cast<double>(kMany));
  EXPECT_LE(std::abs(first), scale);
  EXPECT_LE(std::abs(second), scale * std::sqrt(2.0));
  EXPECT_LE(std::abs(third), scale * std::sqrt(15.0));
  EXPECT_LE(std::abs(fourth), scale * std::sqrt(96.0));
}

TEST(Random, FillNormalIsNormalAgainAndAgain) {
  std::vector<float> filled(1001);
  Random(4, 5).fill_normal(filled);
  Random random(4, 5);
  for (const float value : filled) EXPECT_EQ(value, random.normal());
}

TEST(Random, NeighboursAreUncorrelated) {
  const std::vector<double> values = normals(Random(5));
  for (const int lag : {1, 2, 3, 4, 8}) {
    expect_uncorrelated(values, {values.begin() + lag, values.end()});
  }
}

TEST(Random, StreamsAndSeedsAreUncorrelated) {
  const std::vector<double> values = normals(Random(6, 1));
  expect_uncorrelated(values, normals(Random(6, 2)));
  expect_uncorrelated(values, normals(Random(7, 1)));
  expect_uncorrelated(values, normals(Random(1, 6)));
  expect_uncorrelated(values, normals(Random(6, uint64_t{1} << 32 | 1)));
  expect_uncorrelated(values, normals(Random(uint64_t{1} << 32 | 6, 1)));
}

TEST(Random, BelowIsUniform) {
  Random random(8);
  constexpr size_t kBound = 37;
  std::vector<int> counts(kBound);
  for (int i = 0; i < kDraws; ++i) ++counts.at(random.below(kBound));
  expect_frequencies(counts, std::vector<double>(kBound, 1.0 / kBound));
  EXPECT_EQ(random.below(1), 0u);
}

// A remainder without rejection would fall into the first third twice as often.
TEST(Random, BelowALargeBoundIsUniform) {
  Random random(9);
  std::vector<int> counts(3);
  for (int i = 0; i < kDraws; ++i) ++counts.at(random.below(uint64_t{3} << 62) >> 62);
  expect_frequencies(counts, std::vector<double>(3, 1.0 / 3));
}

TEST(Random, CategoricalFollowsTheWeights) {
  Random random(10);
  const std::vector<float> weights = {0, 2, 0, 0.5f, 5, 0};
  std::vector<int> counts(weights.size());
  for (int i = 0; i < kDraws; ++i) ++counts.at(static_cast<size_t>(random.categorical(weights)));
  EXPECT_EQ(counts[0] + counts[2] + counts[5], 0);
  expect_frequencies({counts[1], counts[3], counts[4]}, {2 / 7.5, 0.5 / 7.5, 5 / 7.5});
}

TEST(RandomDeathTest, WhatCannotBeDrawn) {
  const std::vector<float> nothing = {0, 0};
  EXPECT_DEATH(Random(1).categorical(nothing), "total > 0");
  EXPECT_DEATH((void)Random(1).below(0), "bound > 0");
}

TEST(StreamId, TellsPurposesApart) {
  std::set<uint64_t> ids = {stream_id({}), stream_id({0}), stream_id({0, 0}), stream_id({0, 0, 0})};
  EXPECT_EQ(ids.size(), 4u);
  for (uint64_t a = 1; a <= 100; ++a) {
    for (uint64_t b = 1; b <= 100; ++b) ids.insert(stream_id({a, b}));
  }
  EXPECT_EQ(ids.size(), 4u + 100 * 100);
  EXPECT_EQ(stream_id({1, 2}), stream_id({1, 2}));
}

}  // namespace
}  // namespace evo
