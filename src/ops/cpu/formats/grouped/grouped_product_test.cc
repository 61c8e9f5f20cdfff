// With the target for AVX512-VNNI, as grouped_kernel.cc.
#define HWY_WANT_AVX3_DL

#include "ops/cpu/formats/grouped/grouped_product.h"

#include <array>
#include <cmath>
#include <cstring>

#include "base/float_formats.h"
#include "base/testing.h"
#include "ops/reference/matmul_formula.h"
#include "ops/testing/testing.h"

namespace evo::ops {
namespace {

using testing::random_values;

// out, in: whole and broken blocks and groups, one and several pieces of `in` (7 and 14 groups).
constexpr std::array<std::array<int64_t, 2>, 8> kGroupedShapes = {
    {{1, 1}, {5, 7}, {32, 32}, {33, 101}, {127, 66}, {64, 3}, {40, 515}, {31, 256}}};
constexpr int64_t kMostGroupedRows = 70;  // a panel of tiles and a broken one
constexpr std::array<int64_t, 2> kBits = {8, 4};

/// What weight_group() makes of each 32 of a row.
std::vector<WeightGroup> groups_of(const float* row, int64_t in, int64_t bits) {
  std::vector<WeightGroup> groups;
  for (int64_t k = 0; k < in; k += kGroupInputs) {
    std::array<float, kGroupInputs> padded{};
    std::copy(row + k, row + std::min(in, k + kGroupInputs), padded.begin());
    groups.push_back(weight_group(padded.data(), bits));
  }
  return groups;
}

struct Inputs {
  std::array<int64_t, kGroupInputs> values{};
  float scale = 0;
};

/// x as weight_group.h has it.
std::vector<Inputs> inputs_of(const float* row, int64_t in) {
  std::vector<Inputs> groups;
  for (int64_t k = 0; k < in; k += kGroupInputs) {
    Inputs& group = groups.emplace_back();
    const int64_t count = std::min(kGroupInputs, in - k);
    float largest = 0;
    for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(row[k + i]));
    if (largest == 0) continue;
    group.scale = largest / kLargestInput;
    for (int64_t i = 0; i < count; ++i)
      group.values[i] =
          static_cast<int64_t>(std::nearbyint(row[k + i] * (kLargestInput / largest)));
  }
  return groups;
}

std::vector<float> expected_product(const float* x, int64_t rows, const float* w, int64_t out,
                                    int64_t in, int64_t bits) {
  std::vector<float> y;
  std::vector<std::vector<WeightGroup>> weights;
  for (int64_t o = 0; o < out; ++o) weights.push_back(groups_of(w + o * in, in, bits));
  for (int64_t r = 0; r < rows; ++r) {
    const std::vector<Inputs> row = inputs_of(x + r * in, in);
    for (const std::vector<WeightGroup>& weight : weights) {
      float sum = 0;
      for (size_t g = 0; g < row.size(); ++g) {
        int64_t dot = 0;
        for (int64_t i = 0; i < kGroupInputs; ++i) dot += row[g].values[i] * weight[g].values[i];
        const float scale = from_f16(weight[g].scale) * row[g].scale;
        const float term = static_cast<float>(dot) * scale;
        sum = sum + term;
        if (bits == 8) continue;
        int64_t inputs = 0;
        for (const int64_t value : row[g].values) inputs += value;
        const float of_minimum =
            from_f16(weight[g].minimum) * (static_cast<float>(inputs) * row[g].scale);
        sum = sum + of_minimum;
      }
      y.push_back(sum);
    }
  }
  return y;
}

void expect_bits(const GroupedWeight& weight, GroupedKernel kernel, const float* x,
                 const std::vector<float>& expected) {
  const int64_t out = weight.out();
  for (const int64_t rows : {1, 2, 5, 13, 16, 17, 33, 69}) {
    std::vector<float> y(static_cast<size_t>(rows * out) + 1, -3.0f);
    weight.multiply_by(kernel, x + weight.in(), rows, y.data());  // from row 1 on
    EXPECT_EQ(y.back(), -3.0f) << "wrote beyond the end";
    ASSERT_EQ(std::memcmp(y.data(), expected.data() + out, (y.size() - 1) * sizeof(float)), 0)
        << rows << " rows";
  }
}

TEST(GroupedProduct, IsTheSameToTheBitOnEveryTarget) {
  for (const auto& [out, in] : kGroupedShapes) {
    const std::vector<float> w = random_values(static_cast<size_t>(out * in), 1);
    // From the second float on: x need not be aligned.
    const std::vector<float> values =
        random_values(static_cast<size_t>(kMostGroupedRows * in) + 1, 2);
    const float* x = values.data() + 1;
    for (const int64_t bits : kBits) {
      SCOPED_TRACE(fmt::format("out {} in {} bits {}", out, in, bits));
      const auto expected = expected_product(x, kMostGroupedRows, w.data(), out, in, bits);
      const GroupedWeight weight(w.data(), out, in, bits);
      testing::for_each_simd_target(
          [&] { expect_bits(weight, GroupedKernel::kVectors, x, expected); });
      if (has_grouped_tiles()) expect_bits(weight, GroupedKernel::kTiles, x, expected);
    }
  }
}

TEST(GroupedProduct, RowsAreWhatWeightGroupMakes) {
  constexpr int64_t kOut = 37, kIn = 70;
  const std::vector<float> w = random_values(kOut * kIn, 3);
  for (const int64_t bits : kBits) {
    const GroupedWeight weight(w.data(), kOut, kIn, bits);
    std::vector<float> row(kIn);
    for (int64_t o = 0; o < kOut; ++o) {
      weight.row(o, row.data());
      const std::vector<WeightGroup> groups = groups_of(w.data() + o * kIn, kIn, bits);
      for (int64_t k = 0; k < kIn; ++k) {
        const WeightGroup& group = groups[k / kGroupInputs];
        ASSERT_EQ(row[k],
                  static_cast<float>(group.values[k % kGroupInputs]) * from_f16(group.scale) +
                      from_f16(group.minimum));
      }
    }
  }
}

TEST(GroupedProduct, ErrorIsThatOfRounding) {
  constexpr int64_t kOut = 50, kIn = 700, kRows = 9;
  const std::vector<float> w = random_values(kOut * kIn, 3), x = random_values(kRows * kIn, 4);
  for (const int64_t bits : kBits) {
    const GroupedWeight weight(w.data(), kOut, kIn, bits);
    std::vector<float> y(kRows * kOut), w_row(kIn);
    weight.multiply(x.data(), kRows, y.data());
    for (int64_t o = 0; o < kOut; ++o) {
      weight.row(o, w_row.data());
      for (int64_t r = 0; r < kRows; ++r) {
        const float* x_row = x.data() + r * kIn;
        const std::vector<Inputs> inputs = inputs_of(x_row, kIn);
        double exact = 0, magnitude = 0, off = 0;  // of the rounded weights with x as it is
        for (int64_t k = 0; k < kIn; ++k) {
          exact += static_cast<double>(x_row[k]) * w_row[k];
          magnitude += std::abs(static_cast<double>(x_row[k]) * w_row[k]);
          // Half a step, and three roundings to 24 bits of a number of at most 16256 steps.
          off += (0.5 + 3 * kLargestInput * 0x1p-24) * inputs[k / kGroupInputs].scale *
                 std::abs(w_row[k]);
        }
        const double groups = static_cast<double>(inputs.size());
        const double allowed = off + (groups + 3) * 0x1p-24 * (magnitude + off);
        ASSERT_TRUE(std::abs(y[r * kOut + o] - exact) <= allowed) << "row " << r << " output " << o;
      }
    }
  }
}

/// The largest sum of a group: 32 * 255 * 16256 before the offset is taken off.
TEST(GroupedProduct, SumsDoNotOverflow) {
  constexpr int64_t kOut = 33, kIn = 6400, kRows = 20;
  const std::vector<float> w(kOut * kIn, 1.0f), x(kRows * kIn, -2.0f);
  for (const int64_t bits : kBits) {
    const std::vector<float> expected =
        expected_product(x.data(), kRows, w.data(), kOut, kIn, bits);
    std::vector<float> y(kRows * kOut);
    GroupedWeight(w.data(), kOut, kIn, bits).multiply(x.data(), kRows, y.data());
    EXPECT_EQ(y, expected);
    EXPECT_NEAR(y[0], -2.0 * kIn, 0.01 * kIn);
  }
}

TEST(WeightGroup, EightBitsAreThoseOfQ8) {
  std::array<float, kGroupInputs> x{};
  for (int64_t i = 0; i < kGroupInputs; ++i) x[i] = 0.01f * static_cast<float>(i * i) - 3.0f;
  const WeightGroup group = weight_group(x.data(), 8);
  EXPECT_EQ(group.scale, to_f16(x[31] / 127));
  const float step = from_f16(group.scale);
  for (int64_t i = 0; i < kGroupInputs; ++i)
    EXPECT_EQ(group.values[i], std::clamp(std::nearbyint(x[i] / step), -127.0f, 127.0f)) << i;
}

TEST(WeightGroup, FourBitsAreBetterThanWhereAllJustFit) {
  double error = 0, error_fitting = 0;
  const auto square = [](double v) { return v * v; };
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const std::vector<float> x = random_values(kGroupInputs, seed);
    const WeightGroup group = weight_group(x.data(), 4);
    const auto [least, most] = std::ranges::minmax(x);
    const double fitting = (most - least) / 15;
    double own = 0, other = 0;
    for (int64_t i = 0; i < kGroupInputs; ++i) {
      ASSERT_GE(group.values[i], 0);
      ASSERT_LE(group.values[i], 15);
      own += square(x[i] - from_f16(group.minimum) -
                    static_cast<double>(group.values[i]) * from_f16(group.scale));
      other += square(x[i] - least - std::nearbyint((x[i] - least) / fitting) * fitting);
    }
    EXPECT_LE(own, other * 1.01);  // of f16
    error += own;
    error_fitting += other;
  }
  EXPECT_LT(error, 0.9 * error_fitting);  // else the search does nothing
}

TEST(WeightGroup, FourBitsKeepWhatLiesOnAGrid) {
  std::array<float, kGroupInputs> x{};
  for (int64_t i = 0; i < kGroupInputs; ++i) x[i] = -0.375f + 0.0625f * static_cast<float>(i % 16);
  const WeightGroup group = weight_group(x.data(), 4);
  EXPECT_EQ(from_f16(group.scale), 0.0625f);
  EXPECT_EQ(from_f16(group.minimum), -0.375f);
  for (int64_t i = 0; i < kGroupInputs; ++i) EXPECT_EQ(group.values[i], i % 16);
}

TEST(WeightGroup, ZerosAndNumbersTooLarge) {
  std::array<float, kGroupInputs> x{};
  for (const int64_t bits : kBits) {
    EXPECT_EQ(weight_group(x.data(), bits).values, (std::array<int8_t, kGroupInputs>{}));
    x[5] = -1e7f;
    testing::expect_error([&] { (void)weight_group(x.data(), bits); }, {"1e+07", "bf16"});
    x[5] = 0;
  }
}

}  // namespace
}  // namespace evo::ops
