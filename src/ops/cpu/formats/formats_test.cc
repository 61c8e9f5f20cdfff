#include <array>
#include <cstring>
#include <limits>
#include <thread>

#include "base/threads/parallel.h"
#include "ops/cpu/formats/bf16/bf16.h"
#include "ops/cpu/formats/int8/int8_product.h"
#include "ops/reference/matmul_formula.h"

namespace evo::ops {
namespace {

using testing::random_values;

constexpr std::array kPrecisions = {tensor::Precision::kF32, tensor::Precision::kBF16,
                                    tensor::Precision::kInt8, tensor::Precision::kQ8,
                                    tensor::Precision::kQ4};
constexpr int64_t kMostPackedRows = 150;

std::vector<float> multiply(const PackedWeight& weight, const float* x, int64_t rows) {
  std::vector<float> y(static_cast<size_t>(rows * weight.out()));
  weight.multiply(x, rows, y.data());
  return y;
}

TEST(PackedWeight, IsCloseToReference) {
  for (const auto& [out, in] : {std::pair<int64_t, int64_t>{1, 1}, {37, 129}, {64, 64}, {200, 3}}) {
    const std::vector<float> w = random_values(static_cast<size_t>(out * in), 1);
    const std::vector<float> x = random_values(static_cast<size_t>(19 * in), 2);
    // The bound for kInt8 is another one: int8_product_test.cc.
    for (const tensor::Precision precision : {tensor::Precision::kF32, tensor::Precision::kBF16}) {
      const auto packed = pack_weight(w.data(), out, in, precision);
      EXPECT_EQ(packed->out(), out);
      EXPECT_EQ(packed->in(), in);
      const int64_t element = precision == tensor::Precision::kBF16 ? 2 : 4;
      EXPECT_GE(packed->bytes(), static_cast<size_t>(out * in * element));
      for (const int64_t rows : {0, 1, 2, 19}) {
        const std::vector<float> y = multiply(*packed, x.data(), rows);
        const reference::Product expected =
            reference::matmul(matrix(x.data(), rows, in), matrix(w.data(), out, in).transposed());
        for (size_t i = 0; i < y.size(); ++i) {
          const double allowed = reference::rounding(in, precision) * expected.magnitude[i];
          ASSERT_TRUE(std::abs(y[i] - expected.value[i]) <= allowed)
              << out << "x" << in << " rows " << rows << " element " << i;
        }
      }
    }
  }
}

/// The promise that speculative decoding rests on.
void expect_rows_keep_their_bits(int64_t out, int64_t in, tensor::Precision precision) {
  SCOPED_TRACE(fmt::format("out {} in {} precision {} threads {}", out, in,
                           static_cast<int>(precision), threads()));
  const std::vector<float> w = random_values(static_cast<size_t>(out * in), 3);
  const std::vector<float> x = random_values(static_cast<size_t>(kMostPackedRows * in), 4);
  const auto packed = pack_weight(w.data(), out, in, precision);
  const std::vector<float> all = multiply(*packed, x.data(), kMostPackedRows);
  for (const int64_t rows : {1, 2, 3, 5, 8, 12, 16, 33, 64}) {
    for (const int64_t first : {0, 1, 77}) {  // also as different rows of the call
      const std::vector<float> some = multiply(*packed, x.data() + first * in, rows);
      ASSERT_EQ(std::memcmp(some.data(), all.data() + first * out, some.size() * sizeof(float)), 0)
          << "a row's bits depend on its company: " << rows << " rows from " << first;
    }
  }
}

TEST(PackedWeight, RowsKeepTheirBitsInAnyCompany) {
  const int before = threads();
  for (const int count : {1, 2}) {
    set_threads(count);
    for (const auto& [out, in] : {std::pair<int64_t, int64_t>{64, 64},
                                  {512, 512},
                                  {333, 1000},
                                  {37, 129},
                                  {5, 7},
                                  {65, 2048},
                                  {48, 5000}}) {
      for (const tensor::Precision precision : kPrecisions) {
        expect_rows_keep_their_bits(out, in, precision);
      }
    }
  }
  set_threads(before);
}

TEST(PackedWeight, SameBitsForAnyThreads) {
  const std::vector<float> w = random_values(300 * 500, 5), x = random_values(9 * 500, 6);
  const int before = threads();
  for (const tensor::Precision precision : kPrecisions) {
    const auto packed = pack_weight(w.data(), 300, 500, precision);
    set_threads(1);
    const std::vector<float> one = multiply(*packed, x.data(), 9);
    for (const int count : {2, 3, 4}) {
      set_threads(count);
      EXPECT_EQ(multiply(*packed, x.data(), 9), one) << count << " threads";
    }
  }
  set_threads(before);
}

TEST(PackedWeight, TwoThreadsMayMultiply) {
  const std::vector<float> w = random_values(128 * 96, 7), x = random_values(64 * 96, 8);
  const auto packed = pack_weight(w.data(), 128, 96, tensor::Precision::kF32);
  const std::vector<float> expected = multiply(*packed, x.data(), 64);
  std::array<int, 2> wrong = {};
  const auto work = [&](size_t who) {
    for (int64_t rows = 1; rows <= 64; ++rows) {
      const std::vector<float> y = multiply(*packed, x.data(), rows);
      if (std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)) != 0) ++wrong[who];
    }
  };
  std::thread other(work, 0);
  work(1);
  other.join();
  EXPECT_EQ(wrong, (std::array<int, 2>{0, 0}));
}

TEST(PackedWeight, NaNStaysInItsRow) {
  const std::vector<float> w(50 * 40, 1.0f);
  std::vector<float> x(3 * 40, 1.0f);
  x[45] = std::numeric_limits<float>::quiet_NaN();
  for (const tensor::Precision precision : kPrecisions) {
    const std::vector<float> y = multiply(*pack_weight(w.data(), 50, 40, precision), x.data(), 3);
    for (size_t i = 0; i < y.size(); ++i) {
      if (i / 50 == 1) {
        EXPECT_TRUE(std::isnan(y[i])) << i;
      } else {
        EXPECT_NEAR(y[i], 40.0f, 40 * 0x1p-11) << i;  // as a scale of 1 / 127 in f16
      }
    }
  }
}

TEST(PackedWeight, GivesRowsBack) {
  constexpr int64_t kOut = 77, kIn = 130;
  const std::vector<float> w = random_values(kOut * kIn, 9);
  std::vector<float> rounded(w.size()), row(kIn), quantized(kIn);
  round_to_bf16(w.data(), kOut * kIn, rounded.data());
  const auto f32 = pack_weight(w.data(), kOut, kIn, tensor::Precision::kF32);
  const auto bf16 = pack_weight(w.data(), kOut, kIn, tensor::Precision::kBF16);
  const auto int8 = pack_weight(w.data(), kOut, kIn, tensor::Precision::kInt8);
  const Int8Weight int8_expected(w.data(), kOut, kIn);
  for (int64_t o = 0; o < kOut; ++o) {
    f32->row(o, row.data());
    ASSERT_EQ(std::memcmp(row.data(), w.data() + o * kIn, kIn * sizeof(float)), 0) << o;
    bf16->row(o, row.data());
    ASSERT_EQ(std::memcmp(row.data(), rounded.data() + o * kIn, kIn * sizeof(float)), 0) << o;
    int8->row(o, row.data());
    int8_expected.row(o, quantized.data());
    ASSERT_EQ(row, quantized) << o;
  }
}

TEST(PackedWeightDeathTest, HasNoOtherRows) {
  const std::vector<float> w(6, 1.0f);
  std::vector<float> row(3);
  const auto packed = pack_weight(w.data(), 2, 3, tensor::Precision::kF32);
  EXPECT_DEATH(packed->row(2, row.data()), "index");
}

TEST(PackedWeight, Int8TakesAQuarterOfTheMemory) {
  const std::vector<float> w(512 * 512, 1.0f);
  const auto bytes = [&](tensor::Precision precision) {
    return static_cast<double>(pack_weight(w.data(), 512, 512, precision)->bytes());
  };
  EXPECT_LT(bytes(tensor::Precision::kInt8), 0.26 * bytes(tensor::Precision::kF32));
  EXPECT_LT(bytes(tensor::Precision::kBF16), 0.51 * bytes(tensor::Precision::kF32));
}

}  // namespace
}  // namespace evo::ops
