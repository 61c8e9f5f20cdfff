#include "ops/row_product.h"

#include <array>
#include <cstring>

#include "ops/bf16.h"
#include "ops/matmul_reference.h"
#include "tensor/tensor.h"

namespace evo {
namespace {

constexpr std::array<std::array<int64_t, 2>, 6> kShapes = {
    {{1, 1}, {5, 7}, {32, 16}, {33, 100}, {127, 65}, {96, 1}}};  // out, in
constexpr int64_t kMostRows = 14;  // up to two groups of six and every remainder

template <class Type>
class Packed {
 public:
  Packed(const std::vector<Type>& weight, int64_t out, int64_t in)
      : out_(out),
        in_(in),
        storage_(pooled_bytes(static_cast<size_t>(row_product_size(out, in)) * sizeof(Type))) {
    pack_row_product(weight.data(), out, in, data());
  }
  [[nodiscard]] std::vector<float> multiply(const float* x, int64_t rows) const {
    std::vector<float> y(static_cast<size_t>(rows * out_) + 1, -3.0f);
    row_product(x, rows, data(), out_, in_, y.data());
    EXPECT_EQ(y.back(), -3.0f) << "wrote beyond the end";
    y.pop_back();
    return y;
  }

 private:
  [[nodiscard]] Type* data() const { return static_cast<Type*>(storage_.get()); }
  int64_t out_, in_;
  std::shared_ptr<void> storage_;
};

template <class Type>
void check(const std::vector<Type>& weight, const std::vector<float>& as_floats, int64_t out,
           int64_t in) {
  const std::vector<float> x = testing::random_values(static_cast<size_t>(kMostRows * in), 8);
  const reference::Product expected = reference::matmul(
      matrix(x.data(), kMostRows, in), matrix(as_floats.data(), out, in).transposed());
  testing::for_each_simd_target([&] {
    const Packed<Type> packed(weight, out, in);
    const std::vector<float> all = packed.multiply(x.data(), kMostRows);
    for (size_t i = 0; i < all.size(); ++i) {
      const double error = std::abs(all[i] - expected.value[i]);
      ASSERT_TRUE(error <= reference::rounding(in, Precision::kF32) * expected.magnitude[i]) << i;
    }
    for (int64_t rows = 1; rows < kMostRows; ++rows) {
      const std::vector<float> some = packed.multiply(x.data() + in, rows);  // from row 1 on
      ASSERT_EQ(std::memcmp(some.data(), all.data() + out, some.size() * sizeof(float)), 0)
          << "a row's bits depend on its company: " << rows << " rows";
    }
  });
}

TEST(RowProduct, IsCloseToReferenceAndIndependentOfOtherRows) {
  for (const auto& [out, in] : kShapes) {
    SCOPED_TRACE(fmt::format("out {} in {}", out, in));
    const std::vector<float> weight = testing::random_values(static_cast<size_t>(out * in), 9);
    check(weight, weight, out, in);
  }
}

TEST(RowProduct, TakesBF16Weights) {
  for (const auto& [out, in] : kShapes) {
    SCOPED_TRACE(fmt::format("out {} in {}", out, in));
    std::vector<float> weight = testing::random_values(static_cast<size_t>(out * in), 10);
    std::vector<uint16_t> halves(weight.size());
    convert_to_bf16(weight.data(), out * in, halves.data());
    round_to_bf16(weight.data(), out * in, weight.data());
    check(halves, weight, out, in);
  }
}

}  // namespace
}  // namespace evo
