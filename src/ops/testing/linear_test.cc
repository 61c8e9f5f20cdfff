#include "ops/linear.h"

#include "ops/reference/matmul_formula.h"
#include "ops/testing/op_check.h"

namespace evo::ops {
namespace {

using testing::Matrix;
using testing::OpCheck;

Matrix linear_reference(const Matrix& x, const Matrix& w) {
  Matrix y(x.rows, w.rows);
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t o = 0; o < w.rows; ++o) {
      for (int64_t i = 0; i < x.cols; ++i) y.at(r, o) += x.at(r, i) * w.at(o, i);
    }
  }
  return y;
}

OpCheck check(int64_t rows, int64_t in, int64_t out) {
  return {
      {testing::random_matrix(rows, in, 1), testing::random_matrix(out, in, 2)},
      [](tensor::Tape& tape, const std::vector<tensor::Tensor>& t) {
        return linear(tape, t[0], {t[1], nullptr});
      },
      [](const std::vector<Matrix>& m) { return linear_reference(m[0], m[1]); },
  };
}

TEST(Linear, IsCloseToReference) {
  for (const int64_t size : {1, 17, 65}) {
    SCOPED_TRACE(size);
    check(size, 33, 20).expect_close_to_reference(66);  // the longest sum: up to 65 terms
    check(5, size, 31).expect_close_to_reference(66);
    check(19, 7, size).expect_close_to_reference(66);
  }
}

TEST(Linear, SameBitsForAnyThreads) {
  check(130, 96, 257).expect_same_bits_for_any_threads();
}

TEST(Linear, TwoUsesAddUp) {
  const tensor::Tensor x = tensor::Tensor::zeros({1, 2}), w = tensor::Tensor::zeros({1, 2});
  std::fill_n(x.f32(), 2, 3.0f);
  std::fill_n(w.f32(), 2, 0.5f);
  tensor::Tensor input = x, weight = w;
  input.set_wants_grad(true);
  weight.set_wants_grad(true);
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  const tensor::Tensor first = linear(tape, input, {weight, nullptr});
  const tensor::Tensor second = linear(tape, input, {weight, nullptr});
  first.grad().f32()[0] = 1;
  second.grad().f32()[0] = 10;
  tape.backward();
  testing::expect_close(input.grad().values(), std::vector<float>{5.5f, 5.5f}, 0, 0);
  testing::expect_close(weight.grad().values(), std::vector<float>{33, 33}, 0, 0);
}

TEST(Linear, NoRowsAndNoUpstreamGradient) {
  tensor::Tensor x = tensor::Tensor::empty({0, 4}), weight = tensor::Tensor::zeros({3, 4});
  x.set_wants_grad(true);
  weight.set_wants_grad(true);
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  const tensor::Tensor y = linear(tape, x, {weight, nullptr});
  EXPECT_EQ(y.shape(), (std::vector<int64_t>{0, 3}));
  const tensor::Tensor unused = linear(tape, tensor::Tensor::zeros({2, 4}), {weight, nullptr});
  (void)y.grad();
  tape.backward();
  testing::expect_close(weight.grad().values(), std::vector<float>(12, 0.0f), 0, 0);
}

TEST(Linear, InferenceUsesThePackedWeight) {
  const std::vector<float> other = testing::random_values(6 * 8, 3);
  const Weight weight{tensor::Tensor::zeros({6, 8}),
                      pack_weight(other.data(), 6, 8, tensor::Precision::kF32)};
  tensor::Tensor x = tensor::Tensor::empty({2, 8});
  std::fill_n(x.f32(), 16, 1.0f);
  tensor::Tape inference(tensor::Tape::Mode::kInference), training(tensor::Tape::Mode::kTraining);
  std::vector<float> expected(12);
  weight.packed->multiply(x.f32(), 2, expected.data());
  testing::expect_close(linear(inference, x, weight).values(), expected, 0, 0);
  testing::expect_close(linear(training, x, weight).values(), std::vector<float>(12), 0, 0);
}

}  // namespace
}  // namespace evo::ops
