// What the tests of flow share: codes on the sphere, distributions small enough to enumerate.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "base/random.h"
#include "flow/elbo.h"

namespace evo::testing {

/// Statistical comparisons allow this many standard errors: a right program fails one of them
/// for 7 in a million seeds (two-sided normal tail). Seeds are fixed.
inline constexpr double kSigmas = 4.5;

/// |mean - expected| is within statistical error and `bias`; NaN fails.
inline void expect_mean(const flow::RunningMean& estimate, double expected, double bias = 0) {
  const double allowed = kSigmas * estimate.standard_error() + bias;
  EXPECT_TRUE(std::abs(estimate.mean() - expected) <= allowed)
      << "mean " << estimate.mean() << ", expected " << expected << ", allowed " << allowed;
}

/// `count` codes [count, d] of length sqrt(d), pairwise at least `distance` apart.
inline std::vector<double> random_codes(int count, int d, double distance, uint64_t seed) {
  Random random(seed, 1);
  std::vector<double> codes;
  const auto width = static_cast<size_t>(d);
  while (codes.size() < static_cast<size_t>(count) * width) {
    std::vector<double> code(width);
    double square = 0;
    for (double& x : code) {
      x = static_cast<double>(random.normal());
      square += x * x;
    }
    for (double& x : code) x *= std::sqrt(d / square);
    bool apart = true;
    for (size_t at = 0; at < codes.size(); at += width) {
      double gap = 0;
      for (size_t k = 0; k < width; ++k)
        gap += (code[k] - codes[at + k]) * (code[k] - codes[at + k]);
      apart = apart && gap >= distance * distance;
    }
    if (apart) codes.insert(codes.end(), code.begin(), code.end());
  }
  return codes;
}

/// Random probabilities, log-normal with the given spread.
inline std::vector<double> random_distribution(size_t count, double spread, uint64_t seed) {
  Random random(seed, 2);
  std::vector<double> p(count);
  double total = 0;
  for (double& x : p) total += x = std::exp(spread * static_cast<double>(random.normal()));
  for (double& x : p) x /= total;
  return p;
}

inline double entropy(std::span<const double> p) {
  double sum = 0;
  for (const double x : p) {
    if (x > 0) sum -= x * std::log(x);
  }
  return sum;
}

inline size_t draw(std::span<const double> p, Random& random) {
  double left = random.uniform();
  for (size_t i = 0; i + 1 < p.size(); ++i) {
    left -= p[i];
    if (left < 0) return i;
  }
  return p.size() - 1;
}

inline std::vector<float> to_float(std::span<const double> values) {
  return {values.begin(), values.end()};
}

/// softmax in place.
inline void normalise_logits(std::span<double> logits) {
  double largest = logits[0], total = 0;
  for (const double x : logits) largest = std::max(largest, x);
  for (double& x : logits) total += x = std::exp(x - largest);
  for (double& x : logits) x /= total;
}

}  // namespace evo::testing
