#include "ops/cpu/matmul/matmul.h"
#include "ops/machine.h"

#include <array>
#include <cstring>
#include <limits>
#include <thread>

#include "base/threads/parallel.h"
#include "ops/reference/matmul_formula.h"

namespace evo::ops {
namespace {

using testing::random_values;

/// A matrix in memory of its own, with `gap` unused elements after each line.
struct Stored {
  Stored(int64_t rows, int64_t cols, bool transposed, int64_t gap, uint64_t seed)
      : values(random_values(
            static_cast<size_t>(transposed ? cols * (rows + gap) : rows * (cols + gap)), seed)) {
    view = transposed ? MatrixView{values.data(), rows, cols, 1, rows + gap}
                      : MatrixView{values.data(), rows, cols, cols + gap, 1};
  }
  std::vector<float> values;
  MatrixView view;
};

struct Case {
  int64_t m, n, k;
  bool a_transposed, b_transposed, accumulate;
  int64_t gap;
  tensor::Precision precision;
};

void check(const Case& c) {
  SCOPED_TRACE(fmt::format("m {} n {} k {} ta {} tb {} accumulate {} gap {} bf16 {}", c.m, c.n, c.k,
                           c.a_transposed, c.b_transposed, c.accumulate, c.gap,
                           c.precision == tensor::Precision::kBF16));
  const Stored a(c.m, c.k, c.a_transposed, c.gap, 1), b(c.k, c.n, c.b_transposed, c.gap, 2);
  const int64_t stride = c.n + c.gap;
  const std::vector<float> before = random_values(static_cast<size_t>(c.m * stride), 3);
  std::vector<float> out = before;
  if (!c.accumulate) {  // what was there must not matter
    for (int64_t i = 0; i < c.m; ++i) {
      std::fill_n(out.begin() + i * stride, c.n, std::numeric_limits<float>::quiet_NaN());
    }
  }
  matmul(a.view, b.view, out.data(), stride, c.accumulate, c.precision);

  const reference::Product expected = reference::matmul(a.view, b.view);
  for (int64_t i = 0; i < c.m; ++i) {
    for (int64_t j = 0; j < stride; ++j) {
      const auto at = static_cast<size_t>(i * stride + j);
      if (j >= c.n) {
        ASSERT_EQ(out[at], before[at]) << "gap overwritten at " << i << ", " << j;
        continue;
      }
      const auto e = static_cast<size_t>(i * c.n + j);
      const double old = c.accumulate ? before[at] : 0.0;
      const double allowed =
          reference::rounding(c.k + 1, c.precision) * (expected.magnitude[e] + std::abs(old));
      const double error = std::abs(out[at] - (expected.value[e] + old));
      ASSERT_TRUE(error <= allowed) << i << ", " << j << ": error " << error << " > " << allowed;
    }
  }
}

TEST(Matmul, EveryFormIsCloseToReference) {
  constexpr std::array<std::array<int64_t, 3>, 8> kSizes = {{{1, 1, 1},
                                                             {1, 33, 17},
                                                             {5, 1, 64},
                                                             {7, 9, 1},
                                                             {16, 64, 32},
                                                             {37, 129, 65},
                                                             {2, 70, 300},
                                                             {100, 48, 131}}};
  for (const auto& [m, n, k] : kSizes) {
    for (int form = 0; form < 8; ++form) {
      for (const int64_t gap : {0, 3}) {
        for (const tensor::Precision precision :
             {tensor::Precision::kF32, tensor::Precision::kBF16}) {
          check({m, n, k, (form & 1) != 0, (form & 2) != 0, (form & 4) != 0, gap, precision});
        }
      }
    }
  }
}

/// A number of threads until the end of a scope.
class WithThreads {
 public:
  explicit WithThreads(int count) { set_threads(count); }
  ~WithThreads() { set_threads(before_); }
  WithThreads(const WithThreads&) = delete;
  WithThreads& operator=(const WithThreads&) = delete;

 private:
  int before_ = threads();
};

// Large enough to be divided into bands: of rows, of columns, the last one narrower. The last case
// is longer than the parts into which tiles cut a sum.
TEST(Matmul, BandsAreCloseToReference) {
  constexpr std::array<std::array<int64_t, 3>, 5> kSizes = {
      {{325, 130, 70}, {70, 390, 100}, {200, 200, 66}, {390, 390, 66}, {70, 130, 1100}}};
  for (const auto& [m, n, k] : kSizes) {
    for (int form = 0; form < 8; ++form) {
      for (const int count : {2, 3}) {
        const WithThreads several(count);
        for (const tensor::Precision precision :
             {tensor::Precision::kF32, tensor::Precision::kBF16}) {
          check({m, n, k, (form & 1) != 0, (form & 2) != 0, (form & 4) != 0, 3, precision});
        }
      }
    }
  }
}

TEST(Matmul, BandsHaveTheSameBitsForAnyThreads) {
  for (const tensor::Precision precision : {tensor::Precision::kF32, tensor::Precision::kBF16}) {
    const Stored a(300, 160, false, 0, 1), b(160, 128, false, 0, 2);
    const auto product = [&] {
      std::vector<float> out(300 * 128);
      matmul(a.view, b.view, out.data(), 128, false, precision);
      return out;
    };
    std::vector<std::vector<float>> results;
    for (const int count : {1, 2, 3, 7}) {
      const WithThreads several(count);
      results.push_back(product());
    }
    const WithThreads three(3);
    std::array<std::vector<float>, 4> inside;
    parallel_items(4, [&](int64_t i) { inside[i] = product(); });
    results.insert(results.end(), inside.begin(), inside.end());
    for (const std::vector<float>& other : results) {
      EXPECT_EQ(std::memcmp(other.data(), results[0].data(), other.size() * sizeof(float)), 0);
    }
  }
}

TEST(Matmul, BF16RoundsItsInputs) {
  // 1 + 2^-9 is not a bf16 number and rounds to 1; the sum stays f32.
  const std::vector<float> a{1.0f + 0x1p-9f, 0x1p-20f}, b{1.0f, 1.0f};
  float out = 0;
  matmul(matrix(a.data(), 1, 2), matrix(b.data(), 2, 1), &out, 1, false, tensor::Precision::kBF16);
  EXPECT_EQ(out, 1.0f + 0x1p-20f);
  matmul(matrix(a.data(), 1, 2), matrix(b.data(), 2, 1), &out, 1, false, tensor::Precision::kF32);
  EXPECT_EQ(out, 1.0f + 0x1p-9f + 0x1p-20f);
}

TEST(Matmul, EmptyDimensions) {
  for (const tensor::Precision precision : {tensor::Precision::kF32, tensor::Precision::kBF16}) {
    const std::vector<float> values(12, 1.0f);
    std::vector<float> out(12, 5.0f);
    const auto run = [&](int64_t m, int64_t n, int64_t k, bool accumulate) {
      matmul(matrix(values.data(), m, k), matrix(values.data(), k, n), out.data(), n, accumulate,
             precision);
    };
    run(0, 3, 4, false);
    run(3, 0, 4, false);
    run(3, 4, 0, true);
    EXPECT_EQ(out, std::vector<float>(12, 5.0f));
    run(2, 4, 0, false);
    EXPECT_EQ(out, (std::vector<float>{0, 0, 0, 0, 0, 0, 0, 0, 5, 5, 5, 5}));
  }
}

TEST(Matmul, NaNInputsGiveNaN) {
  std::vector<float> a(64, 1.0f), out(4);
  a[17] = std::numeric_limits<float>::quiet_NaN();
  for (const tensor::Precision precision : {tensor::Precision::kF32, tensor::Precision::kBF16}) {
    matmul(matrix(a.data(), 2, 32), matrix(a.data() + 32, 32, 1), out.data(), 1, false, precision);
    EXPECT_TRUE(std::isnan(out[0]));
    EXPECT_EQ(out[1], 32.0f);
  }
}

/// One product of many shapes, against results computed before.
class Rounds {
 public:
  Rounds() {
    for (int64_t i = 0; i < kShapes; ++i) expected_.push_back(product(i));
  }
  [[nodiscard]] bool all_right() const {
    for (int64_t i = 0; i < 3 * kShapes; ++i) {
      const std::vector<float> got = product(i % kShapes);
      for (size_t j = 0; j < got.size(); ++j) {
        const float allowed = 1e-4f;  // 64 f32 additions of numbers of size 1, in any order
        if (!(std::abs(got[j] - expected_[i % kShapes][j]) <= allowed)) {
          return false;
        }
      }
    }
    return true;
  }

 private:
  static constexpr int64_t kShapes = 24;
  [[nodiscard]] std::vector<float> product(int64_t i) const {
    const int64_t m = 40 + i, n = 96;
    std::vector<float> out(static_cast<size_t>(m * n));
    matmul(matrix(a_.data(), m, 64), matrix(b_.data(), n, 64).transposed(), out.data(), n, false,
           tensor::Precision::kF32);
    return out;
  }
  std::vector<float> a_ = random_values(64 * 64, 5), b_ = random_values(96 * 64, 6);
  std::vector<std::vector<float>> expected_;
};

TEST(Matmul, TwoThreadsShareThePrimitives) {
  const Rounds rounds;
  bool right[2] = {};
  std::thread other([&] { right[0] = rounds.all_right(); });
  right[1] = rounds.all_right();
  other.join();
  EXPECT_TRUE(right[0]);
  EXPECT_TRUE(right[1]);
}

TEST(Matmul, WorksInsideAParallelRegion) {
  const Rounds rounds;
  const WithThreads three(3);
  std::array<bool, 4> right = {};
  parallel_items(4, [&](int64_t i) { right[i] = rounds.all_right(); });
  EXPECT_EQ(right, (std::array<bool, 4>{true, true, true, true}));
}

TEST(Matmul, PeakIsANumber) {
  EXPECT_TRUE(measure_matmul_peak(tensor::Precision::kF32, 0.0) > 0.1);
  EXPECT_TRUE(std::isfinite(measure_matmul_peak(tensor::Precision::kF32, 0.0)));
}

TEST(Matmul, BestPrecisionFollowsTheCpu) {
  EXPECT_EQ(best_precision() == tensor::Precision::kBF16, native_bf16());
}

}  // namespace
}  // namespace evo::ops
