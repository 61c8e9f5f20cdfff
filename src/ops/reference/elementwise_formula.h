// The row-wise ops as their formulas say, in double: what their tests compare with.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

#include "ops/activation.h"
#include "ops/rope.h"
#include "tensor/tensor.h"

namespace evo::ops::reference {

/// [rows, cols] in double; a vector is one row.
struct Matrix {
  Matrix(int64_t row_count, int64_t col_count)
      : rows(row_count), cols(col_count), values(row_count * col_count) {}

  double& at(int64_t r, int64_t c) { return values[r * cols + c]; }
  [[nodiscard]] double at(int64_t r, int64_t c) const { return values[r * cols + c]; }

  int64_t rows, cols;
  std::vector<double> values;
};

inline double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

/// `modulation` may have no rows.
inline Matrix norm_modulate(const Matrix& x, const Matrix& weight, const Matrix& modulation,
                            int64_t scale_column, double eps) {
  Matrix y(x.rows, x.cols);
  const int64_t first = x.rows - modulation.rows;
  for (int64_t r = 0; r < x.rows; ++r) {
    double squares = 0;
    for (int64_t c = 0; c < x.cols; ++c) squares += x.at(r, c) * x.at(r, c);
    const double rms = std::sqrt(squares / static_cast<double>(x.cols) + eps);
    for (int64_t c = 0; c < x.cols; ++c) {
      const double scale = r < first ? 0 : modulation.at(r - first, scale_column + c);
      y.at(r, c) = x.at(r, c) / rms * weight.at(0, c) * (1 + scale);
    }
  }
  return y;
}

/// LayerNorm with the time modulation of the last rows.
inline Matrix layer_norm(const Matrix& x, const Matrix& weight, const Matrix& bias,
                         const Matrix& modulation, int64_t scale_column, double eps) {
  Matrix y(x.rows, x.cols);
  const auto n = static_cast<double>(x.cols);
  const int64_t first = x.rows - modulation.rows;
  for (int64_t r = 0; r < x.rows; ++r) {
    double mean = 0, squares = 0;
    for (int64_t c = 0; c < x.cols; ++c) mean += x.at(r, c) / n;
    for (int64_t c = 0; c < x.cols; ++c) squares += std::pow(x.at(r, c) - mean, 2);
    const double deviation = std::sqrt(squares / n + eps);
    for (int64_t c = 0; c < x.cols; ++c) {
      const double scale = r < first ? 0 : modulation.at(r - first, scale_column + c);
      y.at(r, c) =
          ((x.at(r, c) - mean) / deviation * weight.at(0, c) + bias.at(0, c)) * (1 + scale);
    }
  }
  return y;
}

inline Matrix scaled(const Matrix& x, double factor) {
  Matrix y = x;
  for (double& value : y.values) value *= factor;
  return y;
}

inline Matrix add_gated(const Matrix& x, const Matrix& branch, const Matrix& modulation,
                        int64_t gate_column) {
  Matrix y(x.rows, x.cols);
  const int64_t first = x.rows - modulation.rows;
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.cols; ++c) {
      const double gate = r < first ? 0 : modulation.at(r - first, gate_column + c);
      y.at(r, c) = x.at(r, c) + (1 + gate) * branch.at(r, c);
    }
  }
  return y;
}

/// Of the first `size` numbers of a head.
inline Matrix rope(const Matrix& qkv, const HeadLayout& layout, int size, double theta,
                   std::span<const int32_t> positions) {
  Matrix y = qkv;
  for (int64_t r = 0; r < qkv.rows; ++r) {
    for (int64_t head = 0; head < layout.query_heads + layout.kv_heads; ++head) {
      for (int i = 0; i < size / 2; ++i) {
        const double angle = positions[r] * std::pow(theta, -2.0 * i / size);
        const int64_t a = head * layout.head_size + i, b = a + size / 2;
        y.at(r, a) = qkv.at(r, a) * std::cos(angle) - qkv.at(r, b) * std::sin(angle);
        y.at(r, b) = qkv.at(r, b) * std::cos(angle) + qkv.at(r, a) * std::sin(angle);
      }
    }
  }
  return y;
}

/// The numbers of a row that head_norm takes together.
struct NormedPart {
  bool query;
  int64_t first, size;
};
inline std::vector<NormedPart> normed_parts(const HeadLayout& layout, int64_t q_size,
                                            int64_t k_size) {
  std::vector<NormedPart> parts;
  for (int64_t at = 0; at < layout.q_cols(); at += q_size) parts.push_back({true, at, q_size});
  for (int64_t at = 0; at < layout.kv_cols(); at += k_size) {
    parts.push_back({false, layout.q_cols() + at, k_size});
  }
  return parts;
}

inline Matrix head_norm(const Matrix& qkv, const HeadLayout& layout, const Matrix& q_weight,
                        const Matrix& k_weight, double eps) {
  Matrix y = qkv;
  for (int64_t r = 0; r < qkv.rows; ++r) {
    for (const auto& [query, first, size] : normed_parts(layout, q_weight.cols, k_weight.cols)) {
      double squares = 0;
      for (int64_t i = 0; i < size; ++i) squares += std::pow(qkv.at(r, first + i), 2);
      const double rms = std::sqrt(squares / static_cast<double>(size) + eps);
      for (int64_t i = 0; i < size; ++i) {
        y.at(r, first + i) *= (query ? q_weight : k_weight).at(0, i) / rms;
      }
    }
  }
  return y;
}

/// f(x) and its slope.
struct ActivationValue {
  double value, slope;
};
inline ActivationValue activation(Activation kind, double x) {
  switch (kind) {
    case Activation::kSilu:
      return {x * sigmoid(x), sigmoid(x) * (1 + x * (1 - sigmoid(x)))};
    case Activation::kGelu: {
      const double below = std::erfc(-x / std::numbers::sqrt2) / 2;  // of a normal number
      const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
      return {x * below, below + x * density};
    }
    case Activation::kGeluTanh: {
      const double factor = std::sqrt(2 / std::numbers::pi);
      const double t = std::tanh(factor * (x + 0.044715 * x * x * x));
      return {x * (1 + t) / 2,
              (1 + t) / 2 + x / 2 * (1 - t * t) * factor * (1 + 3 * 0.044715 * x * x)};
    }
  }
  return {};
}

inline Matrix activate(const Matrix& x, Activation kind) {
  Matrix y = x;
  for (double& value : y.values) value = activation(kind, value).value;
  return y;
}

inline Matrix activate_gated(const Matrix& gate_up, Activation kind) {
  Matrix y(gate_up.rows, gate_up.cols / 2);
  for (int64_t r = 0; r < y.rows; ++r) {
    for (int64_t c = 0; c < y.cols; ++c) {
      y.at(r, c) = activation(kind, gate_up.at(r, c)).value * gate_up.at(r, y.cols + c);
    }
  }
  return y;
}

inline Matrix embed(const Matrix& table, std::span<const int32_t> ids) {
  Matrix y(std::ssize(ids), table.cols);
  for (int64_t r = 0; r < y.rows; ++r) {
    for (int64_t c = 0; c < y.cols; ++c) y.at(r, c) = table.at(ids[r], c);
  }
  return y;
}

inline Matrix concat_rows(const Matrix& a, const Matrix& b) {
  Matrix y(a.rows + b.rows, a.cols);
  for (int64_t r = 0; r < y.rows; ++r) {
    for (int64_t c = 0; c < y.cols; ++c) {
      y.at(r, c) = r < a.rows ? a.at(r, c) : b.at(r - a.rows, c);
    }
  }
  return y;
}

inline Matrix concat_cols(std::span<const Matrix> parts) {
  int64_t cols = 0;
  for (const Matrix& part : parts) cols += part.cols;
  Matrix y(parts[0].rows, cols);
  int64_t column = 0;
  for (const Matrix& part : parts) {
    for (int64_t r = 0; r < y.rows; ++r) {
      for (int64_t c = 0; c < part.cols; ++c) y.at(r, column + c) = part.at(r, c);
    }
    column += part.cols;
  }
  return y;
}

inline Matrix slice_rows(const Matrix& x, int64_t begin, int64_t end) {
  Matrix y(end - begin, x.cols);
  for (int64_t r = begin; r < end; ++r) {
    for (int64_t c = 0; c < x.cols; ++c) y.at(r - begin, c) = x.at(r, c);
  }
  return y;
}

inline Matrix gated_scan(const Matrix& a, std::span<const uint8_t> block_starts) {
  Matrix s(a.rows, a.cols / 2);
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t c = 0; c < s.cols; ++c) {
      const double gate = sigmoid(a.at(r, c));
      const double before = r == 0 || block_starts[r] ? 0 : s.at(r - 1, c);
      s.at(r, c) = (1 - gate) * before + gate * std::tanh(a.at(r, s.cols + c));
    }
  }
  return s;
}

}  // namespace evo::ops::reference
