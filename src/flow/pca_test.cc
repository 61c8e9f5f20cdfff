#include "flow/pca.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "base/random.h"

namespace evo::flow {
namespace {

// A table whose rows lie along known orthogonal directions: x = 3 u a + 2 v b + noise.
TEST(PrincipalCodes, FindsTheDirectionsOfLargestVariance) {
  constexpr int64_t kRows = 4000, kWidth = 12;
  std::vector<float> u(kWidth, 0.0f), v(kWidth, 0.0f);
  for (int64_t c = 0; c < kWidth; ++c) (c % 2 == 0 ? u : v)[c] = 1 / std::sqrt(6.0f);
  std::vector<float> table(kRows * kWidth), a(kRows), b(kRows);
  Random random(5);
  for (size_t r = 0; r < kRows; ++r) {
    a[r] = random.normal();
    b[r] = random.normal();
    for (size_t c = 0; c < kWidth; ++c) {
      table[r * kWidth + c] = 7 + 3 * a[r] * u[c] + 2 * b[r] * v[c] + 0.01f * random.normal();
    }
  }
  std::vector<float> codes(kRows * 2);
  principal_codes(table, kWidth, 2, codes);
  // Sampling error of the directions is about (2/3)/(1 - 4/9)/sqrt(4000) = 0.02 in angle.
  double with_a = 0, with_b = 0, cross = 0, variance = 0;
  for (size_t r = 0; r < kRows; ++r) {
    with_a += codes[2 * r] * a[r] / kRows;
    with_b += codes[2 * r + 1] * b[r] / kRows;
    cross += codes[2 * r] * codes[2 * r + 1] / kRows;
    variance += codes[2 * r] * codes[2 * r] / kRows;
  }
  EXPECT_NEAR(std::abs(with_a), 1, 0.08);
  EXPECT_NEAR(std::abs(with_b), 1, 0.08);
  EXPECT_NEAR(cross, 0, 1e-3);
  EXPECT_NEAR(variance, 1, 1e-3);
}

TEST(PrincipalAxes, AreOrthonormalInOrderOfTheirDeviations) {
  constexpr size_t kRows = 2000, kWidth = 6;
  std::vector<float> table(kRows * kWidth);
  Random random(7);
  for (size_t i = 0; i < table.size(); ++i) {  // deviations 1 .. 6 along the coordinates, mean 3
    table[i] = 3 + static_cast<float>(i % kWidth + 1) * random.normal();
  }
  const PrincipalAxes axes = principal_axes(table, kWidth, 2);
  ASSERT_EQ(axes.directions.size(), 2 * kWidth);
  ASSERT_EQ(axes.deviations.size(), 2u);
  const double* first = axes.directions.data();
  const double* second = first + kWidth;
  // Six standard errors: of a mean 6 / sqrt(2000) = 0.13, of a deviation 6 / sqrt(4000) = 0.095.
  for (double mean : axes.mean) EXPECT_NEAR(mean, 3, 0.8);
  EXPECT_NEAR(axes.deviations[0], 6, 0.6);
  EXPECT_NEAR(axes.deviations[1], 5, 0.6);
  EXPECT_GT(first[5], 0.9);  // the coordinate itself, but for the sampling error
  EXPECT_GT(second[4], 0.9);
  // Sums of six products of numbers below 1, each rounded to 1e-16.
  EXPECT_NEAR(std::inner_product(first, first + kWidth, first, 0.0), 1, 1e-14);
  EXPECT_NEAR(std::inner_product(first, first + kWidth, second, 0.0), 0, 1e-14);
}

TEST(PrincipalCodes, IsDeterministic) {
  std::vector<float> table(300 * 8);
  Random(9).fill_normal(table);
  std::vector<float> first(300 * 3), second(300 * 3);
  principal_codes(table, 8, 3, first);
  principal_codes(table, 8, 3, second);
  EXPECT_EQ(first, second);
}

/// Tokens that a model never saw may share an embedding. Codes of the others do not depend on it.
TEST(PrincipalCodes, EqualRowsGetCodesOfTheirOwn) {
  constexpr size_t kRows = 300, kWidth = 8, kCode = 3;
  std::vector<float> table(kRows * kWidth);
  Random(9).fill_normal(table);
  for (const size_t copy : {40u, 41u, 299u}) {
    std::copy_n(table.begin() + 7 * kWidth, kWidth, table.begin() + copy * kWidth);
  }
  std::vector<float> codes(kRows * kCode), again(kRows * kCode);
  principal_codes(table, kWidth, kCode, codes);
  principal_codes(table, kWidth, kCode, again);
  EXPECT_EQ(codes, again);
  std::set<std::vector<float>> distinct;
  for (size_t r = 0; r < kRows; ++r) {
    distinct.emplace(codes.begin() + r * kCode, codes.begin() + (r + 1) * kCode);
  }
  EXPECT_EQ(distinct.size(), kRows);
  const PrincipalAxes axes = principal_axes(table, kWidth, kCode);
  for (size_t k = 0; k < kCode; ++k) {  // the first of the equal ones keeps its own
    double projection = 0;
    for (size_t c = 0; c < kWidth; ++c) {
      projection += axes.directions[k * kWidth + c] * (table[7 * kWidth + c] - axes.mean[c]);
    }
    EXPECT_NEAR(codes[7 * kCode + k], projection / axes.deviations[k], 1e-5);
  }
}

}  // namespace
}  // namespace evo::flow
