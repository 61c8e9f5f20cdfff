#include "ops/norm.h"

#include "ops/testing/op_check.h"

namespace evo::ops {
namespace {

using testing::Matrix;
using testing::OpCheck;
using testing::random_matrix;

constexpr double kEps = 1e-5;

/// Inputs x [rows, cols], weight [1, cols] and, if there are any, modulated rows of width
/// 3 * cols + 1, of which the op takes the columns from cols + 1 on.
struct NormCase {
  int64_t rows, cols, modulated;

  [[nodiscard]] int64_t column() const { return cols + 1; }
  [[nodiscard]] std::vector<Matrix> inputs(int64_t second_rows) const {
    std::vector<Matrix> made{random_matrix(rows, cols, 1), random_matrix(second_rows, cols, 2)};
    if (modulated > 0) made.push_back(random_matrix(modulated, 3 * cols + 1, 3));
    return made;
  }
  static tensor::Tensor modulation(const std::vector<tensor::Tensor>& in) {
    return in.size() > 2 ? in[2] : tensor::Tensor();
  }
  static Matrix modulation(const std::vector<Matrix>& in) {
    return in.size() > 2 ? in[2] : Matrix(0, 0);
  }

  [[nodiscard]] OpCheck norm() const {
    return {inputs(1),
            [c = *this](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
              return norm_modulate(tape, in[0], in[1], modulation(in), c.column(), kEps);
            },
            [c = *this](const std::vector<Matrix>& in) {
              return reference::norm_modulate(in[0], in[1], modulation(in), c.column(),
                                              static_cast<float>(kEps));
            }};
  }
  [[nodiscard]] OpCheck layer_norm() const {
    std::vector<Matrix> made = inputs(1);
    made.insert(made.begin() + 2, random_matrix(1, cols, 4));
    const auto modulation = [](const auto& in, auto none) { return in.size() > 3 ? in[3] : none; };
    return {made,
            [=, c = *this](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
              return ops::layer_norm(tape, in[0], in[1], in[2], modulation(in, tensor::Tensor()),
                                     c.column(), kEps);
            },
            [=, c = *this](const std::vector<Matrix>& in) {
              return reference::layer_norm(in[0], in[1], in[2], modulation(in, Matrix(0, 0)),
                                           c.column(), static_cast<float>(kEps));
            }};
  }
  [[nodiscard]] OpCheck residual() const {
    return {inputs(rows),
            [c = *this](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
              return add_gated(tape, in[0], in[1], modulation(in), c.column());
            },
            [c = *this](const std::vector<Matrix>& in) {
              return reference::add_gated(in[0], in[1], modulation(in), c.column());
            }};
  }
};

TEST(NormModulate, IsCloseToReference) {
  for (const int64_t cols : testing::awkward_lengths()) {
    for (const int64_t modulated : {0, 2, 5}) {
      SCOPED_TRACE(::testing::Message() << cols << " columns, " << modulated << " modulated rows");
      // cols terms of the mean, then root, quotient, two products and 1 + s
      NormCase{5, cols, modulated}.norm().expect_close_to_reference(static_cast<int>(cols) + 6);
    }
  }
}

TEST(LayerNorm, IsCloseToReference) {
  for (const int64_t cols : testing::awkward_lengths()) {
    if (cols == 1) continue;  // 0 over a rounding of its root
    for (const int64_t modulated : {0, 2, 5}) {
      SCOPED_TRACE(::testing::Message() << cols << " columns, " << modulated << " modulated rows");
      // Mean and deviation are sums in double; then difference, quotient, product, sum, product;
      // parameters' gradients are sums over 5 rows. Numbers of the gradient pass through ones up to
      // the inverse deviation of a row of two equal ones larger.
      NormCase{5, cols, modulated}.layer_norm().expect_close_to_reference(5 + 5 +
                                                                          (cols < 4 ? 40 : 0));
    }
  }
}

TEST(LayerNorm, GradientsSumOverManyChunksOfRows) {
  NormCase{70, 9, 20}.layer_norm().expect_close_to_reference(70 + 6);
}

TEST(LayerNorm, SameBitsForAnyThreads) {
  NormCase{103, 1031, 40}.layer_norm().expect_same_bits_for_any_threads();
}

TEST(LayerNorm, ConstantRowIsTheBiasAndNaNStaysInItsRow) {
  testing::for_each_implementation([] {
    tensor::Tape tape(tensor::Tape::Mode::kInference);
    const tensor::Tensor x = tensor::Tensor::zeros({2, 8}), ones = tensor::Tensor::zeros({8}),
                         bias = tensor::Tensor::zeros({8});
    std::fill_n(x.f32(), 16, 3.0f);
    std::fill_n(ones.f32(), 8, 1.0f);
    std::fill_n(bias.f32(), 8, 0.5f);
    x.f32()[3] = testing::kNaN;
    const tensor::Tensor y = layer_norm(tape, x, ones, bias, tensor::Tensor(), 0, 1e-6f);
    for (int i = 0; i < 8; ++i) {
      EXPECT_TRUE(std::isnan(y.row(0)[i]));
      EXPECT_EQ(y.row(1)[i], 0.5f);
    }
  });
}

TEST(NormModulate, WeightGradientSumsOverManyChunksOfRows) {
  // The weight gradient sums over all rows.
  NormCase{70, 9, 20}.norm().expect_close_to_reference(70 + 9 + 6);
}

TEST(NormModulate, SameBitsForAnyThreads) {
  NormCase{103, 1031, 40}.norm().expect_same_bits_for_any_threads();
}

TEST(NormModulate, ZeroRowStaysFinite) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor x = tensor::Tensor::zeros({2, 8});
  const tensor::Tensor weight = tensor::Tensor::zeros({8});
  const tensor::Tensor y = norm_modulate(tape, x, weight, tensor::Tensor(), 0, 1e-6f);
  for (const float value : y.values()) EXPECT_EQ(value, 0.0f);
}

TEST(NormModulate, NaNStaysInItsRow) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor x = tensor::Tensor::zeros({2, 8});
  const tensor::Tensor weight = tensor::Tensor::zeros({8});
  x.f32()[3] = std::nanf("");
  const tensor::Tensor y = norm_modulate(tape, x, weight, tensor::Tensor(), 0, 1e-6f);
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(std::isnan(y.row(0)[i]));
    EXPECT_EQ(y.row(1)[i], 0.0f);
  }
}

TEST(NormModulate, OpsThatShareAModulationAddTheirColumns) {
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  const tensor::Tensor x = tensor::Tensor::zeros({1, 2});
  const tensor::Tensor weight = tensor::Tensor::zeros({2});
  tensor::Tensor modulation = tensor::Tensor::zeros({1, 4});
  std::fill_n(x.f32(), 2, 1.0f);
  std::fill_n(weight.f32(), 2, 1.0f);
  modulation.set_wants_grad(true);
  const tensor::Tensor n = norm_modulate(tape, x, weight, modulation, 0, 0.0f);
  const tensor::Tensor y = add_gated(tape, x, n, modulation, 2);
  std::fill_n(y.grad().f32(), 2, 1.0f);
  tape.backward();
  for (const float gradient : modulation.grad().values()) EXPECT_EQ(gradient, 1.0f);
}

TEST(AddGated, IsCloseToReference) {
  for (const int64_t cols : testing::awkward_lengths()) {
    for (const int64_t modulated : {0, 2, 5}) {
      SCOPED_TRACE(::testing::Message() << cols << " columns, " << modulated << " modulated rows");
      NormCase{5, cols, modulated}.residual().expect_close_to_reference(3);
    }
  }
}

TEST(AddGated, SameBitsForAnyThreads) {
  NormCase{103, 1031, 40}.residual().expect_same_bits_for_any_threads();
}

TEST(AddGated, OneTensorAsBothSides) {
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  tensor::Tensor x = tensor::Tensor::zeros({1, 3});
  x.set_wants_grad(true);
  const tensor::Tensor y = add_gated(tape, x, x, tensor::Tensor(), 0);
  std::fill_n(y.grad().f32(), 3, 1.0f);
  tape.backward();
  for (const float gradient : x.grad().values()) EXPECT_EQ(gradient, 2.0f);
}

}  // namespace
}  // namespace evo::ops
