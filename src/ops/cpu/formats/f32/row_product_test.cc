#include "ops/cpu/formats/f32/row_product.h"

#include <array>
#include <cstring>

#include "base/threads/parallel.h"
#include "ops/reference/matmul_formula.h"
#include "tensor/tensor.h"

namespace evo::ops {
namespace {

// out, in: whole and broken blocks, one and several pieces of `in` (64).
constexpr std::array<std::array<int64_t, 2>, 8> kRowShapes = {
    {{1, 1}, {5, 7}, {32, 16}, {33, 100}, {127, 65}, {96, 1}, {31, 128}, {40, 300}}};
constexpr int64_t kMostRows = 61;  // two tiles, and groups of every size

class Packed {
 public:
  Packed(const std::vector<float>& weight, int64_t out, int64_t in)
      : out_(out),
        in_(in),
        storage_(tensor::pooled_bytes(row_product_size(out, in) * sizeof(float))) {
    pack_row_product(weight.data(), out, in, data());
  }
  [[nodiscard]] std::vector<float> multiply(const float* x, int64_t rows) const {
    std::vector<float> y(static_cast<size_t>(rows * out_) + 1, -3.0f);
    row_product(x, rows, data(), out_, in_, y.data());
    EXPECT_EQ(y.back(), -3.0f) << "wrote beyond the end";
    y.pop_back();
    return y;
  }
  [[nodiscard]] std::vector<float> row(int64_t index) const {
    std::vector<float> values(static_cast<size_t>(in_));
    unpack_row(data(), in_, index, values.data());
    return values;
  }

 private:
  [[nodiscard]] float* data() const { return static_cast<float*>(storage_.get()); }
  int64_t out_, in_;
  std::shared_ptr<void> storage_;
};

void check(const std::vector<float>& weight, int64_t out, int64_t in) {
  // From the second float on: x need not be aligned.
  const std::vector<float> values =
      testing::random_values(static_cast<size_t>(kMostRows * in) + 1, 8);
  const float* x = values.data() + 1;
  const reference::Product expected =
      reference::matmul(matrix(x, kMostRows, in), matrix(weight.data(), out, in).transposed());
  const Packed packed(weight, out, in);
  testing::for_each_simd_target([&] {
    const std::vector<float> all = packed.multiply(x, kMostRows);
    for (size_t i = 0; i < all.size(); ++i) {
      const double error = std::abs(all[i] - expected.value[i]);
      ASSERT_TRUE(error <= reference::rounding(in, tensor::Precision::kF32) * expected.magnitude[i])
          << i;
    }
    for (int64_t rows = 1; rows <= 33; ++rows) {
      const std::vector<float> some = packed.multiply(x + in, rows);  // from row 1 on
      ASSERT_EQ(std::memcmp(some.data(), all.data() + out, some.size() * sizeof(float)), 0)
          << "a row's bits depend on its company: " << rows << " rows";
    }
  });
  for (int64_t o = 0; o < out; ++o) {
    const std::vector<float> row = packed.row(o);
    ASSERT_EQ(std::memcmp(row.data(), weight.data() + o * in, row.size() * sizeof(float)), 0)
        << "row " << o << " is not what was packed";
  }
}

TEST(RowProduct, IsCloseToReferenceAndIndependentOfOtherRows) {
  for (const auto& [out, in] : kRowShapes) {
    SCOPED_TRACE(fmt::format("out {} in {}", out, in));
    const std::vector<float> weight = testing::random_values(static_cast<size_t>(out * in), 9);
    check(weight, out, in);
  }
}

TEST(RowProduct, WakesThreadsForEnoughWorkOnly) {
  // 50304 x 768 with one row is worth any number of threads, a block of 32 x 64 is not worth two.
  EXPECT_LE(row_product_grain(768, 1, 1), row_product_blocks(50304) / 256);
  EXPECT_GT(row_product_grain(64, 1, 4), row_product_blocks(64));
  EXPECT_LT(row_product_grain(64, 512, 1), row_product_grain(64, 1, 1));
  // One row waits for the weights, so that their size counts.
  EXPECT_LT(row_product_grain(64, 1, 4), row_product_grain(64, 1, 1));
}

}  // namespace
}  // namespace evo::ops
