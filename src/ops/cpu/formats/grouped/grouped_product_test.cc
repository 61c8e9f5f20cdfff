// With the target for AVX512-VNNI, as grouped_kernel.cc.
#define HWY_WANT_AVX3_DL

#include "ops/cpu/formats/grouped/grouped_product.h"

#include <array>
#include <cmath>
#include <cstring>

#include "base/float_formats.h"
#include "base/random.h"
#include "base/testing.h"
#include "base/weight_group.h"
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

/// As GGUF's Q8_0, Q4_1, Q4_0, Q5_1, Q4_K, Q5_K, IQ4_XS and Q6_K, Q2_K have them.
constexpr std::array kFormats = {
    GroupFormat{},
    GroupFormat{.bits = 4, .minimum = true},
    GroupFormat{.bits = 4, .offset = 8},
    GroupFormat{.bits = 8, .minimum = true},
    GroupFormat{.bits = 4, .minimum = true, .factors = true},
    GroupFormat{.bits = 8, .minimum = true, .factors = true},
    GroupFormat{.bits = 8, .factors = true},
    GroupFormat{.bits = 8, .factors = true, .parts = 2},
    GroupFormat{.bits = 8, .minimum = true, .factors = true, .parts = 2}};

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

using Groups = std::vector<std::vector<WeightGroup>>;  // [rows, groups]

Groups groups_of(const std::vector<float>& weights, int64_t out, int64_t in, int64_t bits) {
  Groups rows;
  for (int64_t o = 0; o < out; ++o) rows.push_back(groups_of(&weights[o * in], in, bits));
  return rows;
}

/// Any numbers that a format can hold; those of eight groups share their scale if it has factors.
Groups random_groups(const GroupFormat& format, int64_t out, int64_t in, uint64_t seed) {
  Random random(seed);
  const auto between = [&](int64_t least, int64_t most) {
    return least + static_cast<int64_t>(random.below(static_cast<uint64_t>(most - least + 1)));
  };
  const auto half = [&] { return to_f16(static_cast<float>(between(-999, 999)) * 0.001f); };
  Groups rows(out);
  for (auto& row : rows) {
    for (int64_t g = 0; g * kGroupInputs < in; ++g) {
      WeightGroup group = format.factors && g % 8 != 0 ? row.back() : WeightGroup{.scale = half()};
      if (format.minimum && (!format.factors || g % 8 == 0)) group.minimum = half();
      for (int64_t i = 0; i < kGroupInputs; ++i) {
        const int64_t value =
            format.bits == 8 ? between(-128, 127) : between(-format.offset, 15 - format.offset);
        group.values[i] = static_cast<int8_t>(value);
      }
      for (int64_t part = 0; format.factors && part < 2; ++part) {
        const bool again = format.parts == 1 && part == 1;
        group.scale_factors[part] =
            again ? group.scale_factors[0] : static_cast<int8_t>(between(-128, 127));
        if (format.minimum)
          group.minimum_factors[part] =
              again ? group.minimum_factors[0] : static_cast<uint8_t>(between(0, 255));
      }
      row.push_back(group);
    }
  }
  return rows;
}

GroupedRows rows_of(const GroupFormat& format, const Groups& groups) {
  return {format, std::ssize(groups), [&](int64_t row, std::span<WeightGroup> to) {
            ASSERT_EQ(to.size(), groups[row].size());
            std::ranges::copy(groups[row], to.begin());
          }};
}

GroupedWeight packed(const GroupFormat& format, const Groups& groups, int64_t in) {
  return {std::array{rows_of(format, groups)}, in};
}

struct Inputs {
  std::array<int64_t, kGroupInputs> values{};
  float scale = 0;
};

/// x as weight_group.h has it.
std::vector<Inputs> inputs_of(const float* row, int64_t in, int64_t bits) {
  const float most = largest_input(bits);
  std::vector<Inputs> groups;
  for (int64_t k = 0; k < in; k += kGroupInputs) {
    Inputs& group = groups.emplace_back();
    const int64_t count = std::min(kGroupInputs, in - k);
    float largest = 0;
    for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(row[k + i]));
    if (largest == 0) continue;
    group.scale = largest / most;
    for (int64_t i = 0; i < count; ++i)
      group.values[i] = static_cast<int64_t>(std::nearbyint(row[k + i] * (most / largest)));
  }
  return groups;
}

/// Adds what a part of a group gives, as add_scaled() of grouped_kernel.cc does.
float add_part(float sum, const Inputs& x, const WeightGroup& w, const GroupFormat& format,
               int64_t part) {
  const int64_t count = kGroupInputs / format.parts, first = part * count;
  int64_t dot = 0, inputs = 0;
  // A number of 4 bits is stored without its offset, which is a part of the minimum.
  for (int64_t i = first; i < first + count; ++i) {
    dot += x.values[i] * (w.values[i] + format.offset);
    inputs += x.values[i];
  }
  const float scale = w.scale_of(first) * x.scale;
  sum = sum + static_cast<float>(dot) * scale;
  if (!format.minimum && format.offset == 0) return sum;
  const float minimum =
      format.minimum ? w.minimum_of(first) : w.scale_of(first) * -static_cast<float>(format.offset);
  return sum + minimum * (static_cast<float>(inputs) * x.scale);
}

std::vector<float> expected_product(const float* x, int64_t rows, const Groups& weights, int64_t in,
                                    const GroupFormat& format) {
  std::vector<float> y;
  for (int64_t r = 0; r < rows; ++r) {
    const std::vector<Inputs> row = inputs_of(x + r * in, in, format.bits);
    for (const std::vector<WeightGroup>& weight : weights) {
      float sum = 0;
      for (size_t g = 0; g < row.size(); ++g) {
        for (int64_t part = 0; part < format.parts; ++part)
          sum = add_part(sum, row[g], weight[g], format, part);
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
    // From the second float on: x need not be aligned.
    const std::vector<float> values =
        random_values(static_cast<size_t>(kMostGroupedRows * in) + 1, 2);
    const float* x = values.data() + 1;
    for (size_t f = 0; f < kFormats.size(); ++f) {
      const GroupFormat& format = kFormats[f];
      SCOPED_TRACE(fmt::format("out {} in {} format {}", out, in, f));
      const Groups groups = random_groups(format, out, in, f);
      const auto expected = expected_product(x, kMostGroupedRows, groups, in, format);
      const GroupedWeight weight = packed(format, groups, in);
      testing::for_each_simd_target(
          [&] { expect_bits(weight, GroupedKernel::kVectors, x, expected); });
      if (has_grouped_tiles()) expect_bits(weight, GroupedKernel::kTiles, x, expected);
    }
  }
}

/// Parts of several formats, whose rows are no whole numbers of blocks, are those parts alone.
TEST(GroupedProduct, PartsOfOtherFormatsStandBelowOneAnother) {
  constexpr int64_t kIn = 300, kRows = 20;
  constexpr std::array<int64_t, 4> kOuts = {33, 64, 5, 31};
  const std::vector<float> x = random_values(kRows * kIn, 6);
  std::vector<Groups> groups;
  for (size_t f = 0; f < kOuts.size(); ++f)
    groups.push_back(random_groups(kFormats[2 * f], kOuts[f], kIn, f));
  std::vector<GroupedRows> parts;
  for (size_t f = 0; f < kOuts.size(); ++f) parts.push_back(rows_of(kFormats[2 * f], groups[f]));
  const GroupedWeight all(parts, kIn);
  for (const int64_t rows : {int64_t{3}, kRows}) {
    std::vector<float> y(rows * all.out());
    all.multiply(x.data(), rows, y.data());
    int64_t first = 0;
    for (size_t f = 0; f < kOuts.size(); ++f) {
      const GroupedWeight part = packed(kFormats[2 * f], groups[f], kIn);
      std::vector<float> own(rows * part.out()), row(kIn), row_of_all(kIn);
      part.multiply(x.data(), rows, own.data());
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t o = 0; o < part.out(); ++o)
          ASSERT_EQ(y[r * all.out() + first + o], own[r * part.out() + o]) << f << " " << o;
      }
      for (int64_t o = 0; o < part.out(); ++o) {
        part.row(o, row.data());
        all.row(first + o, row_of_all.data());
        ASSERT_EQ(row, row_of_all);
      }
      first += part.out();
    }
  }
}

TEST(GroupedProduct, RowsAreTheGroups) {
  constexpr int64_t kOut = 37, kIn = 300;
  for (size_t f = 0; f < kFormats.size(); ++f) {
    const Groups groups = random_groups(kFormats[f], kOut, kIn, f);
    const GroupedWeight weight = packed(kFormats[f], groups, kIn);
    std::vector<float> row(kIn);
    for (int64_t o = 0; o < kOut; ++o) {
      weight.row(o, row.data());
      for (int64_t k = 0; k < kIn; ++k) {
        const WeightGroup& group = groups[o][k / kGroupInputs];
        ASSERT_EQ(row[k], group.weight(k % kGroupInputs)) << "format " << f;
      }
    }
  }
}

TEST(GroupedProduct, ErrorIsThatOfRounding) {
  constexpr int64_t kOut = 50, kIn = 700, kRows = 9;
  const std::vector<float> w = random_values(kOut * kIn, 3), x = random_values(kRows * kIn, 4);
  for (const int64_t bits : kBits) {
    const GroupedWeight weight = packed(group_format(bits), groups_of(w, kOut, kIn, bits), kIn);
    std::vector<float> y(kRows * kOut), w_row(kIn);
    weight.multiply(x.data(), kRows, y.data());
    for (int64_t o = 0; o < kOut; ++o) {
      weight.row(o, w_row.data());
      for (int64_t r = 0; r < kRows; ++r) {
        const float* x_row = x.data() + r * kIn;
        const std::vector<Inputs> inputs = inputs_of(x_row, kIn, bits);
        double exact = 0, magnitude = 0, off = 0;  // of the rounded weights with x as it is
        for (int64_t k = 0; k < kIn; ++k) {
          exact += static_cast<double>(x_row[k]) * w_row[k];
          magnitude += std::abs(static_cast<double>(x_row[k]) * w_row[k]);
          // Half a step, and three roundings to 24 bits of a number of at most that many steps.
          off += (0.5 + 3 * largest_input(bits) * 0x1p-24) * inputs[k / kGroupInputs].scale *
                 std::abs(w_row[k]);
        }
        const double groups = static_cast<double>(inputs.size());
        const double allowed = off + (groups + 3) * 0x1p-24 * (magnitude + off);
        ASSERT_TRUE(std::abs(y[r * kOut + o] - exact) <= allowed) << "row " << r << " output " << o;
      }
    }
  }
}

/// The largest sum of a group: 32 * 255 * 16256 before the offset of 8 bits is taken off.
TEST(GroupedProduct, SumsDoNotOverflow) {
  constexpr int64_t kOut = 33, kIn = 6400, kRows = 20;
  const std::vector<float> w(kOut * kIn, 1.0f), x(kRows * kIn, -2.0f);
  for (const int64_t bits : kBits) {
    const Groups groups = groups_of(w, kOut, kIn, bits);
    const std::vector<float> expected =
        expected_product(x.data(), kRows, groups, kIn, group_format(bits));
    std::vector<float> y(kRows * kOut);
    packed(group_format(bits), groups, kIn).multiply(x.data(), kRows, y.data());
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
