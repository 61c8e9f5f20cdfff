// Products of matrices of doubles and the rounding of what goes into them.
#pragma once

#include "ops/reference/elementwise_formula.h"
#include "tensor/tape.h"

namespace evo::ops::reference {

/// What products of this precision read: kInt8 with a scale for each row, kQ8 and kQ4 as
/// largest_input() (ops/largest_input.h) says.
[[nodiscard]] Matrix rounded(Matrix matrix, tensor::Precision precision);
/// The same of weights.
[[nodiscard]] Matrix rounded_weights(Matrix matrix, tensor::Precision precision);

/// a b^T
[[nodiscard]] Matrix product_transposed(const Matrix& a, const Matrix& b);

[[nodiscard]] Matrix transposed(const Matrix& a);

}  // namespace evo::ops::reference
