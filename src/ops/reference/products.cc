// Products with weights, plain or rounded to a format.
#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/float_formats.h"
#include "base/weight_group.h"
#include "ops/reference/products.h"
#include "ops/reference/reference.h"
#include "ops/reference/tensors.h"

namespace evo::ops::reference {
namespace {

/// Each row as whole numbers from -127 to 127 times a scale of its own.
void round_row_to_int8(double* row, int64_t count) {
  double largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(row[i]));
  const double scale = largest / 127;
  if (scale == 0) return;
  for (int64_t i = 0; i < count; ++i) row[i] = std::nearbyint(row[i] / scale) * scale;
}

void round_group_of_inputs(std::span<double> group, int64_t bits) {
  double largest = 0;
  for (const double value : group) largest = std::max(largest, std::abs(value));
  const double scale = largest / largest_input(bits);
  if (scale == 0) return;
  for (double& value : group) value = std::nearbyint(value / scale) * scale;
}

void round_group_of_weights(std::span<double> group, int64_t bits) {
  std::array<float, kGroupInputs> weights{};
  std::ranges::transform(group, weights.begin(), [](double w) { return static_cast<float>(w); });
  const WeightGroup rounded = weight_group(weights.data(), bits);
  const double scale = from_f16(rounded.scale), minimum = from_f16(rounded.minimum);
  std::transform(group.begin(), group.end(), rounded.values.begin(), group.begin(),
                 [&](double, int8_t value) { return value * scale + minimum; });
}

template <class Round>
void for_each_group(Matrix& matrix, const Round& round) {
  for (int64_t r = 0; r < matrix.rows; ++r) {
    for (int64_t c = 0; c < matrix.cols; c += kGroupInputs)
      round(std::span(&matrix.at(r, c), std::min(kGroupInputs, matrix.cols - c)));
  }
}

/// Of weights in groups; 0 of others.
int64_t bits_of(tensor::Precision precision) {
  return precision == tensor::Precision::kQ8 ? 8 : precision == tensor::Precision::kQ4 ? 4 : 0;
}

}  // namespace

Matrix rounded(Matrix matrix, tensor::Precision precision) {
  if (const int64_t bits = bits_of(precision); bits != 0) {
    for_each_group(matrix, [&](std::span<double> group) { round_group_of_inputs(group, bits); });
  } else if (precision == tensor::Precision::kBF16) {
    std::ranges::transform(matrix.values, matrix.values.begin(), [](double value) {
      return static_cast<double>(from_bf16(to_bf16(static_cast<float>(value))));
    });
  } else if (precision == tensor::Precision::kInt8) {
    for (int64_t r = 0; r < matrix.rows; ++r) round_row_to_int8(&matrix.at(r, 0), matrix.cols);
  }
  return matrix;
}

Matrix rounded_weights(Matrix matrix, tensor::Precision precision) {
  const int64_t bits = bits_of(precision);
  if (bits == 0) return rounded(std::move(matrix), precision);
  for_each_group(matrix, [&](std::span<double> group) { round_group_of_weights(group, bits); });
  return matrix;
}

Matrix product_transposed(const Matrix& a, const Matrix& b) {
  EVO_CHECK(a.cols == b.cols);
  Matrix c(a.rows, b.rows);
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < b.rows; ++j) {
      for (int64_t k = 0; k < a.cols; ++k) c.at(i, j) += a.at(i, k) * b.at(j, k);
    }
  }
  return c;
}

Matrix transposed(const Matrix& a) {
  Matrix t(a.cols, a.rows);
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < a.cols; ++j) t.at(j, i) = a.at(i, j);
  }
  return t;
}

namespace {

/// Weights as they were rounded.
class HeldWeight : public PackedWeight {
 public:
  [[nodiscard]] size_t bytes() const override { return weight_.values.size() * sizeof(double); }

 protected:
  explicit HeldWeight(Matrix weight)
      : PackedWeight(weight.rows, weight.cols), weight_(std::move(weight)) {}

  [[nodiscard]] Matrix outputs(const float* x, int64_t rows, tensor::Precision precision) const {
    return product_transposed(rounded(matrix_of(x, rows, in()), precision), weight_);
  }

 private:
  void read_row(int64_t index, float* values) const override {
    for (int64_t c = 0; c < in(); ++c) values[c] = static_cast<float>(weight_.at(index, c));
  }

  Matrix weight_;
};

class RoundedWeight final : public HeldWeight {
 public:
  RoundedWeight(const Matrix& weight, tensor::Precision precision)
      : HeldWeight(rounded_weights(weight, precision)), precision_(precision) {}

 private:
  void multiply_rows(const float* x, int64_t rows, float* y) const override {
    const Matrix all = outputs(x, rows, precision_);
    std::ranges::transform(all.values, y, [](double v) { return static_cast<float>(v); });
  }

  tensor::Precision precision_;
};

Matrix weights_of(std::span<const GroupedRows> parts, int64_t in) {
  Matrix weights(total_rows(parts), in);
  std::vector<WeightGroup> groups(groups_of_row(in));
  int64_t o = 0;
  for (const GroupedRows& part : parts) {
    for (int64_t r = 0; r < part.rows; ++r, ++o) {
      part.read(r, groups);
      for (int64_t c = 0; c < in; ++c)
        weights.at(o, c) = groups[c / kGroupInputs].weight(c % kGroupInputs);
    }
  }
  return weights;
}

/// Rows of weights in groups: x is rounded for the bits of each.
class WeightInGroups final : public HeldWeight {
 public:
  WeightInGroups(std::span<const GroupedRows> parts, int64_t in)
      : HeldWeight(weights_of(parts, in)) {
    for (const GroupedRows& part : parts) bits_.insert(bits_.end(), part.rows, part.format.bits);
  }

 private:
  void multiply_rows(const float* x, int64_t rows, float* y) const override {
    const Matrix by_8 = outputs(x, rows, tensor::Precision::kQ8);
    const Matrix by_4 = outputs(x, rows, tensor::Precision::kQ4);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t o = 0; o < out(); ++o)
        y[r * out() + o] = static_cast<float>((bits_[o] == 8 ? by_8 : by_4).at(r, o));
    }
  }

  std::vector<int64_t> bits_;  // of each row
};

}  // namespace

std::shared_ptr<const PackedWeight> pack_weight(const float* weight, int64_t out, int64_t in,
                                                tensor::Precision precision) {
  return std::make_shared<const RoundedWeight>(matrix_of(weight, out, in), precision);
}

std::shared_ptr<const PackedWeight> pack_bf16_weight(const uint16_t* weight, int64_t out,
                                                     int64_t in, tensor::Precision precision) {
  Matrix values(out, in);
  std::transform(weight, weight + out * in, values.values.begin(),
                 [](uint16_t bits) { return static_cast<double>(from_bf16(bits)); });
  return std::make_shared<const RoundedWeight>(values, precision);
}

std::shared_ptr<const PackedWeight> pack_groups(std::span<const GroupedRows> parts, int64_t in) {
  return std::make_shared<const WeightInGroups>(parts, in);
}

tensor::Tensor linear(tensor::Tape& tape, const tensor::Tensor& x, const Weight& weight) {
  if (!tape.recording() && weight.packed) {
    const tensor::Tensor y = tape.output({x.rows(), weight.packed->out()});
    weight.packed->multiply(x.f32(), x.rows(), y.f32());
    return y;
  }
  const tensor::Tensor w = weight.value;
  const tensor::Precision precision = tape.precision();
  const auto read = [precision](const tensor::Tensor& tensor) {
    return rounded(matrix_of(tensor), precision);
  };
  tensor::Tensor y = output_of(tape, product_transposed(read(x), read(w)));
  if (!tape.recording()) return y;
  y.set_wants_grad(x.wants_grad() || w.wants_grad());
  record(tape, y, [=](const Matrix& gradient) {
    const Matrix dy = rounded(gradient, precision);
    if (x.wants_grad()) add_gradient(x, product_transposed(dy, transposed(read(w))));
    if (w.wants_grad()) add_gradient(w, product_transposed(transposed(dy), transposed(read(x))));
  });
  return y;
}

}  // namespace evo::ops::reference
