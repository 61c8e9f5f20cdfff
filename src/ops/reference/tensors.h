// Between tensors and the matrices of doubles that the reference backend computes with.
#pragma once

#include <cstdint>
#include <functional>

#include "ops/reference/elementwise_formula.h"
#include "tensor/tape.h"

namespace evo::ops::reference {

/// A dense array [rows, cols].
[[nodiscard]] Matrix matrix_of(const float* values, int64_t rows, int64_t cols);
/// [rows, cols] of the tensor; no rows if it is undefined.
[[nodiscard]] Matrix matrix_of(const tensor::Tensor& tensor);
/// A vector as one row.
[[nodiscard]] Matrix row_of(const tensor::Tensor& vector);

/// An output of the tape with these values.
[[nodiscard]] tensor::Tensor output_of(const tensor::Tape& tape, const Matrix& values);

/// Overwrites the tensor's values.
void store(const Matrix& values, const tensor::Tensor& tensor);

/// Adds to the gradient of `tensor` from row `first` on, if it wants one.
void add_gradient(const tensor::Tensor& tensor, const Matrix& gradient, int64_t first = 0);

/// Has `backward` run with the gradient of `out`, if it got one.
void record(tensor::Tape& tape, const tensor::Tensor& out,
            std::function<void(const Matrix& dout)> backward);

}  // namespace evo::ops::reference
