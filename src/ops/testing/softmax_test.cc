#include "ops/softmax.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "ops/testing/testing.h"

namespace evo::ops {
namespace {

/// The same statistics in double.
struct Reference {
  explicit Reference(const std::vector<float>& logits) {
    const auto top = std::max_element(logits.begin(), logits.end());
    argmax = static_cast<int32_t>(top - logits.begin());
    max = *top;
    for (const float logit : logits) {
      exponentials.push_back(std::exp(static_cast<double>(logit) - max));
      sum += exponentials.back();
    }
    for (const double e : exponentials) {
      if (e > 0) entropy -= e / sum * std::log(e / sum);
    }
  }
  std::vector<double> exponentials;
  double max = 0, sum = 0, entropy = 0;
  int32_t argmax = 0;
};

/// The largest |l - m| that matters: l - m rounds by 2^-24 of it, and e^(l - m) with it.
constexpr double kSpread = 40;

void check(const std::vector<float>& logits) {
  const Reference expected(logits);
  const auto n = static_cast<double>(logits.size());
  testing::for_each_simd_target([&] {
    std::vector<float> row = logits;
    row.push_back(123.0f);
    const SoftmaxRow got = softmax_row(row.data(), std::ssize(logits));
    EXPECT_EQ(row.back(), 123.0f) << "wrote beyond the end";
    row.pop_back();
    EXPECT_EQ(got.max, static_cast<float>(expected.max));
    EXPECT_EQ(got.argmax, expected.argmax);
    EXPECT_GE(got.sum, 1.0);
    // Exp is good to 1 ULP (2^-23), the stretches sum up to 1024 numbers in f32.
    const double relative = 0x1p-23 + kSpread * 0x1p-24 + std::min(n, 1024.0) * 0x1p-24;
    testing::expect_close(std::vector<double>{got.sum}, std::vector<double>{expected.sum}, 0,
                          relative);
    EXPECT_GE(got.entropy(), 0.0);
    testing::expect_close(std::vector<double>{got.entropy()}, std::vector<double>{expected.entropy},
                          2 * relative * (1 + expected.entropy), 0);
    // 2e-38: what lies below the smallest normal number becomes 0.
    testing::expect_close(row, expected.exponentials, 2e-38, 0x1p-23 + 90 * 0x1p-24);
  });
}

TEST(LargestLogit, IsTheFirstOfThemOrNone) {
  for (const size_t size : {1u, 5u, 16u, 17u, 100u}) {
    std::vector<float> logits(size, -std::numeric_limits<float>::infinity());
    EXPECT_EQ(largest_logit(logits.data(), std::ssize(logits)), 0);
    logits[size - 1] = 2;
    logits[size / 2] = 2;
    EXPECT_EQ(largest_logit(logits.data(), std::ssize(logits)), static_cast<int64_t>(size / 2));
    logits[size - 1] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(largest_logit(logits.data(), std::ssize(logits)), -1);
  }
}

TEST(Softmax, EveryLengthIsCloseToReference) {
  for (size_t n = 1; n <= 140; ++n) {
    SCOPED_TRACE(n);
    check(testing::random_values(n, n, 4.0f));
  }
  for (const size_t n : {1023u, 1024u, 1025u, 5000u, 50257u}) {
    SCOPED_TRACE(n);
    check(testing::random_values(n, n, 4.0f));
  }
}

TEST(Softmax, LargeLogitsAndEqualLogits) {
  for (const float offset : {-3e5f, 3e5f}) {
    std::vector<float> logits(75, offset);
    check(logits);
    logits[70] = offset + 1;
    check(logits);
  }
  std::vector<float> spread = testing::random_values(1000, 9, 1e5f);  // kappa near 1e4
  check(spread);
}

TEST(Softmax, OneOfManyTakesEverything) {
  testing::for_each_simd_target([&] {
    std::vector<float> logits(1000, -1e6f);
    logits[513] = 0.5f;
    const SoftmaxRow row = softmax_row(logits.data(), 1000);
    EXPECT_EQ(row.argmax, 513);
    EXPECT_EQ(row.sum, 1.0);
    EXPECT_EQ(row.entropy(), 0.0);
  });
}

TEST(Softmax, ArgmaxIsTheLowestOfEquals) {
  testing::for_each_simd_target([&] {
    for (size_t first = 0; first < 60; ++first) {
      std::vector<float> logits(67, 1.0f);
      for (size_t i = first; i < logits.size(); i += 3) logits[i] = 2.0f;
      ASSERT_EQ(softmax_row(logits.data(), 67).argmax, static_cast<int32_t>(first));
    }
  });
}

TEST(Softmax, NaNAndInfinityAreNotHidden) {
  testing::for_each_simd_target([&] {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      for (size_t at = 0; at < 70; ++at) {
        std::vector<float> logits = testing::random_values(70, 3);
        logits[at] = bad;
        const SoftmaxRow row = softmax_row(logits.data(), 70);
        ASSERT_TRUE(std::isnan(row.sum)) << at;
        ASSERT_TRUE(std::isnan(row.entropy())) << at;
        ASSERT_EQ(row.argmax, 0) << at;
      }
    }
  });
}

TEST(Softmax, ScaleAndGradientRows) {
  for (size_t n = 1; n <= 70; ++n) {
    const std::vector<float> e = testing::random_values(n, 1), x = testing::random_values(n, 2);
    std::vector<double> scaled, gradient;
    for (size_t i = 0; i < n; ++i) {
      scaled.push_back(3.0 * e[i]);
      gradient.push_back(0.25 * e[i] * (static_cast<double>(x[i]) - 0.5));
    }
    testing::for_each_simd_target([&] {
      std::vector<float> got = e;
      scale_row(got.data(), std::ssize(got), 3.0f);
      testing::expect_close(got, scaled, 0, 0x1p-24);  // one rounding
      got = x;
      softmax_gradient_row(e.data(), 0.25f, 0.5f, got.data(), std::ssize(got));
      testing::expect_close(got, gradient, 0, 3 * 0x1p-24);  // three
    });
  }
}

}  // namespace
}  // namespace evo::ops
