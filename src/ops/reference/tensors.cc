#include "ops/reference/tensors.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace evo::ops::reference {

Matrix matrix_of(const float* values, int64_t rows, int64_t cols) {
  Matrix matrix(rows, cols);
  std::copy_n(values, rows * cols, matrix.values.begin());
  return matrix;
}

Matrix row_of(const tensor::Tensor& vector) {
  return matrix_of(vector.f32(), 1, vector.numel());
}

Matrix matrix_of(const tensor::Tensor& tensor) {
  if (!tensor.defined()) return Matrix(0, 0);
  // Not rows() and cols(): without rows, a shape of two numbers still has columns.
  const auto& shape = tensor.shape();
  return matrix_of(tensor.f32(), tensor.rows(), shape.size() == 2 ? shape[1] : tensor.cols());
}

void store(const Matrix& values, const tensor::Tensor& tensor) {
  EVO_CHECK(tensor.numel() == std::ssize(values.values));
  std::ranges::transform(values.values, tensor.f32(),
                         [](double value) { return static_cast<float>(value); });
}

tensor::Tensor output_of(const tensor::Tape& tape, const Matrix& values) {
  tensor::Tensor out = tape.output({values.rows, values.cols});
  store(values, out);
  return out;
}

void add_gradient(const tensor::Tensor& tensor, const Matrix& gradient, int64_t first) {
  if (!tensor.wants_grad()) return;
  float* const sum = tensor.grad().f32() + first * gradient.cols;
  for (int64_t i = 0; i < std::ssize(gradient.values); ++i) {
    sum[i] = static_cast<float>(sum[i] + gradient.values[i]);
  }
}

void record(tensor::Tape& tape, const tensor::Tensor& out,
            std::function<void(const Matrix& dout)> backward) {
  if (!tape.recording()) return;
  tape.record([out, backward = std::move(backward)] {
    if (out.has_grad()) backward(matrix_of(out.grad()));
  });
}

}  // namespace evo::ops::reference
