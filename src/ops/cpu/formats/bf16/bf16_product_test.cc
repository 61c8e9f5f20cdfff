// With the target for AVX512-BF16, as bf16_kernel.cc.
#define HWY_WANT_AVX3_DL

#include "ops/cpu/formats/bf16/bf16_product.h"

#include <array>
#include <cstring>
#include <limits>

#include "base/threads/parallel.h"
#include "ops/cpu/formats/bf16/bf16.h"
#include "ops/machine.h"
#include "ops/reference/matmul_formula.h"

namespace evo::ops {
namespace {

// out, in: whole and broken blocks, pairs, tiles and pieces (128) of `in`.
constexpr std::array<std::array<int64_t, 2>, 9> kShapes = {
    {{1, 1}, {5, 7}, {32, 32}, {33, 101}, {127, 66}, {64, 3}, {40, 515}, {31, 128}, {96, 300}}};
constexpr int64_t kMostBF16Rows =
    101;  // several tiles and groups of every kernel, the last one broken

struct ProductProblem {
  ProductProblem(int64_t outputs, int64_t inputs)
      : out(outputs),
        in(inputs),
        weight(testing::random_values(static_cast<size_t>(out * in), 10)),
        bits(weight.size()),
        // From the second float on: x need not be aligned.
        values(testing::random_values(static_cast<size_t>(kMostBF16Rows * in) + 1, 8)) {
    convert_to_bf16(weight.data(), out * in, bits.data());
    round_to_bf16(weight.data(), out * in, weight.data());
  }
  [[nodiscard]] const float* x() const { return values.data() + 1; }

  int64_t out, in;
  std::vector<float> weight;  ///< rounded
  std::vector<uint16_t> bits;
  std::vector<float> values;
};

std::vector<float> multiply(const BF16Weight& weight, int64_t out, const float* x, int64_t rows) {
  std::vector<float> y(static_cast<size_t>(rows * out) + 1, -3.0f);
  weight.multiply(x, rows, y.data());
  EXPECT_EQ(y.back(), -3.0f) << "wrote beyond the end";
  y.pop_back();
  return y;
}

class BF16Product : public ::testing::TestWithParam<BF16Kernel> {
 protected:
  void SetUp() override {
    if (!has_bf16_kernel(GetParam())) {
      GTEST_SKIP() << "BF16Product: a kernel for more than " << isa_name(isa());
    }
  }

  [[nodiscard]] static BF16Weight pack(const ProductProblem& problem) {
    return {problem.bits.data(), problem.out, problem.in, GetParam()};
  }

  /// On every target of Highway's where the kernel has several.
  template <class Fn>
  static void for_each_target(const Fn& fn) {
    if (GetParam() == BF16Kernel::kWidened) {
      testing::for_each_simd_target(fn);
    } else {
      fn();
    }
  }
};

TEST_P(BF16Product, IsCloseToReference) {
  for (const auto& [out, in] : kShapes) {
    SCOPED_TRACE(fmt::format("out {} in {}", out, in));
    const ProductProblem problem(out, in);
    std::vector<float> rounded(problem.values.size() - 1);
    round_to_bf16(problem.x(), kMostBF16Rows * in, rounded.data());
    const reference::Product expected =
        reference::matmul(matrix(rounded.data(), kMostBF16Rows, in),
                          matrix(problem.weight.data(), out, in).transposed());
    const BF16Weight packed = pack(problem);
    for_each_target([&] {
      const std::vector<float> y = multiply(packed, out, problem.x(), kMostBF16Rows);
      for (size_t i = 0; i < y.size(); ++i) {
        // Products of two bf16 numbers are exact in f32: what is left is the sum of `in` of them.
        const double allowed =
            reference::rounding(in, tensor::Precision::kF32) * expected.magnitude[i];
        ASSERT_TRUE(std::abs(y[i] - expected.value[i]) <= allowed) << i;
      }
    });
  }
}

TEST_P(BF16Product, RowsKeepTheirBitsInAnyCompany) {
  for (const auto& [out, in] : kShapes) {
    SCOPED_TRACE(fmt::format("out {} in {}", out, in));
    const ProductProblem problem(out, in);
    const BF16Weight packed = pack(problem);
    for_each_target([&] {
      const std::vector<float> all = multiply(packed, out, problem.x(), kMostBF16Rows);
      for (int64_t rows = 1; rows < kMostBF16Rows; ++rows) {
        const std::vector<float> some = multiply(packed, out, problem.x() + in, rows);
        ASSERT_EQ(std::memcmp(some.data(), all.data() + out, some.size() * sizeof(float)), 0)
            << "a row's bits depend on its company: " << rows << " rows";
      }
    });
  }
}

TEST_P(BF16Product, NaNAndInfinityStayInTheirRows) {
  constexpr int64_t kRows = 40, kOut = 35, kIn = 70;
  ProductProblem problem(kOut, kIn);
  problem.values[1 + 17 * kIn] = std::numeric_limits<float>::quiet_NaN();
  problem.values[1 + 33 * kIn + kIn - 1] = std::numeric_limits<float>::infinity();
  const BF16Weight packed = pack(problem);
  for_each_target([&] {
    const std::vector<float> y = multiply(packed, kOut, problem.x(), kRows);
    for (int64_t i = 0; i < kRows * kOut; ++i) {
      const float value = y[i];
      if (i / kOut == 17) {
        ASSERT_TRUE(std::isnan(value)) << i;
      } else if (i / kOut == 33) {
        ASSERT_TRUE(std::isinf(value)) << i;
      } else {
        ASSERT_TRUE(std::isfinite(value)) << i;
      }
    }
  });
}

TEST_P(BF16Product, SameBitsForAnyThreads) {
  const ProductProblem problem(300, 515);
  const BF16Weight packed = pack(problem);
  const int before = threads();
  for (const int64_t rows : {1, 9, 70}) {
    set_threads(1);
    const std::vector<float> one = multiply(packed, problem.out, problem.x(), rows);
    for (const int count : {2, 3, 4}) {
      set_threads(count);
      EXPECT_EQ(multiply(packed, problem.out, problem.x(), rows), one) << count << " threads";
    }
  }
  set_threads(before);
}

TEST_P(BF16Product, GivesRowsBack) {
  for (const auto& [out, in] : kShapes) {
    const ProductProblem problem(out, in);
    const BF16Weight packed = pack(problem);
    std::vector<float> row(static_cast<size_t>(in));
    for (int64_t o = 0; o < out; ++o) {
      packed.row(o, row.data());
      ASSERT_EQ(std::memcmp(row.data(), &problem.weight[o * in], row.size() * sizeof(float)), 0)
          << "row " << o << " of " << out << " x " << in;
    }
  }
}

std::string name_of(const ::testing::TestParamInfo<BF16Kernel>& info) {
  return std::array{"Widened", "Dots", "Tiles"}[static_cast<size_t>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Kernels, BF16Product,
                         ::testing::Values(BF16Kernel::kWidened, BF16Kernel::kDots,
                                           BF16Kernel::kTiles),
                         name_of);

TEST(BF16Kernel, BestIsOneThatTheCpuHas) {
  EXPECT_TRUE(has_bf16_kernel(best_bf16_kernel()));
  EXPECT_EQ(best_bf16_kernel() != BF16Kernel::kWidened, native_bf16());
}

}  // namespace
}  // namespace evo::ops
