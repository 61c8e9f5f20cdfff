// Matrix products as their formula says, in double, with what their rounding may amount to.
#pragma once

#include <cmath>
#include <vector>

#include "ops/cpu/matmul/matmul.h"
#include "ops/testing/testing.h"

namespace evo::ops::reference {

inline float at(const MatrixView& m, int64_t i, int64_t j) {
  return m.data[i * m.row_stride + j * m.col_stride];
}

struct Product {
  std::vector<double> value;      ///< [m, n] sum_k a b
  std::vector<double> magnitude;  ///< [m, n] sum_k |a b|
};

inline Product matmul(const MatrixView& a, const MatrixView& b) {
  Product result;
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < b.cols; ++j) {
      double value = 0, magnitude = 0;
      for (int64_t k = 0; k < a.cols; ++k) {
        const double term = static_cast<double>(at(a, i, k)) * at(b, k, j);
        value += term;
        magnitude += std::abs(term);
      }
      result.value.push_back(value);
      result.magnitude.push_back(magnitude);
    }
  }
  return result;
}

/// The most that an f32 sum of `terms` products may be off, per unit of magnitude: every product
/// takes part in at most `terms` roundings of 2^-24, and with bf16 (8 significant bits) both
/// factors were rounded by at most 2^-8 before.
inline double rounding(int64_t terms, tensor::Precision precision) {
  const double inputs = precision == tensor::Precision::kBF16 ? 2 * 0x1p-8 + 0x1p-16 : 0;
  return static_cast<double>(terms + 1) * 0x1p-24 + inputs;
}

}  // namespace evo::ops::reference
