// With the target for AVX512-VNNI, as int8_kernel.cc.
#define HWY_WANT_AVX3_DL

#include "ops/cpu/formats/int8/int8_product.h"

#include <array>
#include <cstring>
#include <limits>

#include "base/float_formats.h"
#include "base/threads/parallel.h"
#include "ops/cpu/formats/int8/int8_kernel.h"
#include "ops/reference/matmul_formula.h"
#include "ops/testing/testing.h"

namespace evo::ops {
namespace {

using testing::kInfinity;
using testing::kNaN;
using testing::random_values;

// out, in: whole and broken blocks, whole and broken fours, one and several pieces (256) of `in`.
constexpr std::array<std::array<int64_t, 2>, 8> kInt8Shapes = {
    {{1, 1}, {5, 7}, {32, 16}, {33, 101}, {127, 66}, {64, 3}, {40, 515}, {31, 256}}};
constexpr int64_t kMostInt8Rows = 61;  // two tiles, and groups of every size

std::vector<float> multiply(const Int8Weight& weight, int64_t out, const float* x, int64_t rows) {
  std::vector<float> y(static_cast<size_t>(rows * out) + 1, -3.0f);
  weight.multiply(x, rows, y.data());
  EXPECT_EQ(y.back(), -3.0f) << "wrote beyond the end";
  y.pop_back();
  return y;
}

/// Quantisation as int8_product.h defines it.
struct Quantized {
  Quantized(const float* row, int64_t count) : values(static_cast<size_t>(count)) {
    float largest = 0;
    for (int64_t k = 0; k < count; ++k) largest = std::max(largest, std::abs(row[k]));
    scale = largest / 127.0f;
    for (size_t k = 0; k < values.size() && largest > 0; ++k) {
      values[k] = static_cast<int64_t>(std::nearbyint(row[k] * (127.0f / largest)));
    }
  }
  std::vector<int64_t> values;
  float scale;
};

std::vector<float> expected_product(const float* x, int64_t rows, const float* w, int64_t out,
                                    int64_t in) {
  std::vector<float> y;
  std::vector<Quantized> weights;
  for (int64_t o = 0; o < out; ++o) weights.emplace_back(w + o * in, in);
  for (int64_t r = 0; r < rows; ++r) {
    const Quantized row(x + r * in, in);
    for (const Quantized& weight : weights) {
      int64_t sum = 0;
      for (size_t k = 0; k < row.values.size(); ++k) sum += row.values[k] * weight.values[k];
      y.push_back(static_cast<float>(sum) * (row.scale * weight.scale));
    }
  }
  return y;
}

TEST(Int8Product, IsTheSameToTheBitOnEveryTarget) {
  for (const auto& [out, in] : kInt8Shapes) {
    SCOPED_TRACE(fmt::format("out {} in {}", out, in));
    const std::vector<float> w = random_values(static_cast<size_t>(out * in), 1);
    // From the second float on: x need not be aligned.
    const std::vector<float> values = random_values(static_cast<size_t>(kMostInt8Rows * in) + 1, 2);
    const float* x = values.data() + 1;
    const std::vector<float> expected = expected_product(x, kMostInt8Rows, w.data(), out, in);
    testing::for_each_simd_target([&] {
      const Int8Weight weight(w.data(), out, in);
      EXPECT_EQ(multiply(weight, out, x, kMostInt8Rows), expected);
      for (int64_t rows = 1; rows <= 33; ++rows) {
        const std::vector<float> some = multiply(weight, out, x + in, rows);  // from row 1 on
        ASSERT_EQ(std::memcmp(some.data(), expected.data() + out, some.size() * sizeof(float)), 0)
            << "a row's bits depend on its company: " << rows << " rows";
      }
    });
  }
}

/// How far a number may be from its quantised self, in steps: half of one, and three roundings to
/// 24 bits (of the factor, the product and the scale) of a number of at most 127 steps.
constexpr double kMostSteps = 0.5 + 3 * 127 * 0x1p-24;

TEST(Int8Product, ErrorIsThatOfRounding) {
  constexpr int64_t kOut = 50, kIn = 700, kRows = 9;
  const std::vector<float> w = random_values(kOut * kIn, 3), x = random_values(kRows * kIn, 4);
  const std::vector<float> y = multiply(Int8Weight(w.data(), kOut, kIn), kOut, x.data(), kRows);
  const reference::Product exact =
      reference::matmul(matrix(x.data(), kRows, kIn), matrix(w.data(), kOut, kIn).transposed());
  double worst = 0;
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t o = 0; o < kOut; ++o) {
      const float* x_row = x.data() + r * kIn;
      const float* w_row = w.data() + o * kIn;
      const double dx = kMostSteps * Quantized(x_row, kIn).scale;
      const double dw = kMostSteps * Quantized(w_row, kIn).scale;
      double allowed = 0;  // |x w - (x + dx)(w + dw)|
      for (int64_t k = 0; k < kIn; ++k) {
        allowed += std::abs(x_row[k]) * dw + std::abs(w_row[k]) * dx + dx * dw;
      }
      const auto i = static_cast<size_t>(r * kOut + o);
      allowed += 3 * 0x1p-24 * std::abs(y[i]);  // three roundings after the sum
      const double error = std::abs(y[i] - exact.value[i]);
      ASSERT_TRUE(error <= allowed) << "row " << r << " output " << o;
      worst = std::max(worst, error / allowed);
    }
  }
  // Random signs: the error is about sqrt(in) half steps, the bound in of them.
  EXPECT_LT(worst, 0.2);
  EXPECT_GT(worst, 0.001);
}

TEST(Int8Product, SumsNeitherOverflowNorSaturate) {
  constexpr int64_t kIn = 66000;
  const std::vector<float> x(kIn, 1.0f);
  std::vector<float> w(2 * kIn, 1.0f);
  std::fill(w.begin() + kIn, w.end(), -1.0f);
  const std::vector<float> expected = expected_product(x.data(), 1, w.data(), 2, kIn);
  EXPECT_NEAR(expected[0], kIn, kIn * 0x1p-21);
  testing::for_each_simd_target(
      [&] { EXPECT_EQ(multiply(Int8Weight(w.data(), 2, kIn), 2, x.data(), 1), expected); });
}

TEST(Int8Product, RefusesSumsThatCouldOverflow) {
  const std::vector<float> w(66001, 1.0f);
  EXPECT_THROW(Int8Weight(w.data(), 1, 66001), Error);
}

TEST(Int8Product, OddRowsKeepToThemselves) {
  constexpr int64_t kOut = 35, kIn = 41;
  const std::vector<float> w = random_values(kOut * kIn, 5);
  const std::vector<float> plain = random_values(kIn, 6);
  std::vector<float> x;
  for (const float odd : {1.0f, kNaN, kInfinity, -kInfinity, 0.0f, 0x1p-120f, 0x1p-149f}) {
    x.insert(x.end(), plain.begin(), plain.end());
    if (std::abs(odd) < 1) std::fill(x.end() - kIn, x.end(), odd);
    if (!(std::abs(odd) < 1)) x.end()[-1] = odd;  // also where a vector is not full
  }
  std::vector<float> usual = plain;
  usual.back() = 1.0f;
  const std::vector<float> expected = expected_product(usual.data(), 1, w.data(), kOut, kIn);
  testing::for_each_simd_target([&] {
    const std::vector<float> y = multiply(Int8Weight(w.data(), kOut, kIn), kOut, x.data(), 7);
    for (size_t o = 0; o < kOut; ++o) {
      EXPECT_EQ(y[o], expected[o]);
      for (size_t r : {1, 2, 3}) EXPECT_TRUE(std::isnan(y[r * kOut + o])) << r << " " << o;
      for (size_t r : {4, 5, 6}) EXPECT_EQ(y[r * kOut + o], 0.0f) << r << " " << o;
    }
  });
}

TEST(Int8Product, LargestNumbersStayFinite) {
  const float most = std::numeric_limits<float>::max();
  const std::array<float, 4> x = {most, -most, most / 2, 0}, w = {1e-3f, 0, 2e-3f, 1};
  const std::vector<float> expected = expected_product(x.data(), 1, w.data(), 1, 4);
  EXPECT_TRUE(std::isfinite(expected[0]));
  testing::for_each_simd_target(
      [&] { EXPECT_EQ(multiply(Int8Weight(w.data(), 1, 4), 1, x.data(), 1), expected); });
}

TEST(Int8Product, RoundsToNearestEven) {
  // Largest 127: the numbers are their own steps. 0.49999997 is the float below one half.
  const std::array<float, 9> x = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -126.5f, 0.49999997f, -0.6f};
  const std::array<int8_t, 12> expected = {127, 0, 2, 2, 0, -2, -126, 0, -1, 0, 0, 0};
  testing::for_each_simd_target([&] {
    std::array<int8_t, 64> values;
    values.fill(99);
    EXPECT_EQ(int8_quantize(x.data(), 9, values.data()), 1.0f);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), values.begin()));
  });
}

TEST(Int8Product, GivesRowsBack) {
  constexpr int64_t kOut = 70, kIn = 131;
  std::vector<float> w = random_values(kOut * kIn, 7);
  std::fill_n(w.begin() + 33 * kIn, kIn, 0.0f);
  w[34 * kIn + 2] = kNaN;
  const Int8Weight weight(w.data(), kOut, kIn);
  std::vector<float> row(kIn);
  for (int64_t o = 0; o < kOut; ++o) {
    weight.row(o, row.data());
    const Quantized expected(w.data() + o * kIn, kIn);
    for (size_t k = 0; k < row.size(); ++k) {
      if (o == 34) {
        ASSERT_TRUE(std::isnan(row[k]));
      } else {
        ASSERT_EQ(row[k], expected.scale * static_cast<float>(expected.values[k])) << o << " " << k;
        ASSERT_LE(std::abs(row[k] - w[static_cast<size_t>(o * kIn) + k]),
                  kMostSteps * expected.scale);
      }
    }
  }
}

TEST(Int8Product, FromBF16IsWhatTheSameNumbersInF32Give) {
  constexpr int64_t kOut = 37, kIn = 131;
  std::vector<uint16_t> bits;
  std::vector<float> w;
  for (const float value : random_values(kOut * kIn, 5)) {
    bits.push_back(to_bf16(value));
    w.push_back(from_bf16(bits.back()));
  }
  const std::vector<float> x = random_values(3 * kIn, 6);
  EXPECT_EQ(multiply(Int8Weight(bits.data(), kOut, kIn), kOut, x.data(), 3),
            multiply(Int8Weight(w.data(), kOut, kIn), kOut, x.data(), 3));
}

TEST(Int8Product, SizeIsAByteAWeightAndEightAnOutput) {
  const std::vector<float> w(64 * 100, 1.0f);
  EXPECT_EQ(Int8Weight(w.data(), 64, 100).bytes(), 64u * 100 + 64 * 8);
}

}  // namespace
}  // namespace evo::ops
