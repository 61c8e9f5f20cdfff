#include "ops/norm.h"

#include "ops/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/norm.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/simd/norm-inl.h"
#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

/// out = base + (1 + gate) * branch; without `base`, out = (1 + gate) * branch.
void gated_sum(const float* base, const float* branch, const float* gate, size_t n, float* out) {
  const FloatTag d;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto b = lanes.load(d, branch + i);
    const auto gated = hn::MulAdd(b, lanes.load(d, gate + i), b);
    lanes.store(base ? hn::Add(lanes.load(d, base + i), gated) : gated, d, out + i);
  });
}

/// sum += a * b, element by element.
void add_product(const float* a, const float* b, size_t n, float* sum) {
  const FloatTag d;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto product = hn::Mul(lanes.load(d, a + i), lanes.load(d, b + i));
    lanes.store(hn::Add(lanes.load(d, sum + i), product), d, sum + i);
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cmath>
#include <vector>

#include "ops/cpu/rows.h"

namespace evo::ops::cpu {
HWY_EXPORT(norm_row);
HWY_EXPORT(norm_input_gradient);
HWY_EXPORT(norm_factor_gradient);
HWY_EXPORT(gated_sum);
HWY_EXPORT(add_product);

namespace {

/// D columns of `modulation` seen from the rows of x: a row of zeros for rows without modulation.
class Modulation {
 public:
  Modulation(const tensor::Tensor& x, const tensor::Tensor& modulation, int64_t column)
      : modulation_(modulation), column_(column), zeros_(tensor::Tensor::zeros({x.shape()[1]})) {
    first_row_ = x.rows();
    if (!modulation.defined() || modulation.rows() == 0) return;
    first_row_ -= modulation.rows();
    EVO_CHECK(first_row_ >= 0);
    EVO_CHECK(column >= 0 && column + x.shape()[1] <= modulation.cols());
  }

  [[nodiscard]] const float* row(int64_t r) const {
    return r < first_row_ ? zeros_.f32() : modulation_.row(r - first_row_) + column_;
  }

  [[nodiscard]] bool wants_grad() const { return modulation_.wants_grad(); }
  /// The modulation's whole gradient, allocated: to be called before threads use grad_row().
  void prepare_grad() {
    if (wants_grad()) grad_ = modulation_.grad();
  }
  /// Null for rows without modulation and if no gradient is wanted.
  [[nodiscard]] float* grad_row(int64_t r) const {
    return r < first_row_ || !grad_.defined() ? nullptr : grad_.row(r - first_row_) + column_;
  }

 private:
  tensor::Tensor modulation_;  // [Ne, M]
  int64_t column_;
  tensor::Tensor zeros_;  // [D]
  tensor::Tensor grad_;   // [Ne, M]
  int64_t first_row_;
};

void norm_backward(const tensor::Tensor& x, const tensor::Tensor& weight, Modulation scale,
                   const tensor::Tensor& inverse_rms, const tensor::Tensor& y) {
  if (!y.has_grad()) return;
  const int64_t cols = x.shape()[1];
  const auto n = static_cast<size_t>(cols);
  const tensor::Tensor dy = y.grad();
  const GradientSink dx(x);
  scale.prepare_grad();
  float* dweight = weight.wants_grad() ? weight.grad().f32() : nullptr;
  ops::sum_over_rows(x.rows(), cols, dweight, [&](int64_t r, float* partial) {
    const float inverse = inverse_rms.f32()[r];
    if (partial != nullptr) {
      HWY_DYNAMIC_DISPATCH(norm_factor_gradient)
      (x.row(r), scale.row(r), /*plus_one=*/true, inverse, dy.row(r), n, partial);
    }
    if (float* out = scale.grad_row(r)) {
      HWY_DYNAMIC_DISPATCH(norm_factor_gradient)
      (x.row(r), weight.f32(), /*plus_one=*/false, inverse, dy.row(r), n, out);
    }
    if (float* out = dx.row(r)) {
      HWY_DYNAMIC_DISPATCH(norm_input_gradient)
      (x.row(r), weight.f32(), scale.row(r), inverse, dy.row(r), n, dx.fresh, out);
    }
  });
}

/// What the gradient of a row of LayerNorm needs: (x - mean) * inverse deviation [D].
class CentredRow {
 public:
  CentredRow(const float* x, int64_t n, float eps) : units_(x, x + n) {
    double mean = 0, squares = 0;
    for (const float value : units_) mean += static_cast<double>(value);
    mean /= static_cast<double>(n);
    for (float& value : units_) {
      const double centred = static_cast<double>(value) - mean;
      squares += centred * centred;
      value = static_cast<float>(centred);
    }
    inverse_ = static_cast<float>(
        1 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(eps)));
    for (float& value : units_) value *= inverse_;
  }
  [[nodiscard]] float inverse() const { return inverse_; }
  [[nodiscard]] float operator[](int64_t c) const { return units_[c]; }

 private:
  std::vector<float> units_;
  float inverse_ = 0;
};

/// The tensors of a call of layer_norm().
struct LayerNorm {
  tensor::Tensor x, weight, bias, y;
  float eps;
};

/// dx = inverse * (g - mean(g) - u * mean(g u)) with u = (x - mean) * inverse and
/// g = dy * (1 + s) * weight. `partial` [2 D], if there, gets the gradients of weight and bias.
void layer_norm_row_backward(const LayerNorm& op, const Modulation& scale, int64_t r,
                             const GradientSink& dx, float* partial) {
  const int64_t cols = op.x.shape()[1];
  const CentredRow u(op.x.row(r), cols, op.eps);
  const float *const dy = op.y.grad().row(r), *const s = scale.row(r);
  double mean = 0, along = 0;
  for (int64_t c = 0; c < cols; ++c) {
    const double g = static_cast<double>(dy[c] * (1 + s[c]) * op.weight.f32()[c]);
    mean += g / static_cast<double>(cols);
    along += g * static_cast<double>(u[c]) / static_cast<double>(cols);
  }
  float* const ds = scale.grad_row(r);
  float* const to = dx.row(r);
  for (int64_t c = 0; c < cols; ++c) {
    const float slope = dy[c] * (1 + s[c]);
    if (partial != nullptr) partial[c] += slope * u[c];
    if (partial != nullptr) partial[cols + c] += slope;
    if (ds != nullptr) ds[c] += dy[c] * (u[c] * op.weight.f32()[c] + op.bias.f32()[c]);
    if (to == nullptr) continue;
    const float change = u.inverse() * (slope * op.weight.f32()[c] - static_cast<float>(mean) -
                                        u[c] * static_cast<float>(along));
    to[c] = dx.fresh ? change : to[c] + change;
  }
}

void layer_norm_backward(const LayerNorm& op, Modulation scale) {
  if (!op.y.has_grad()) return;
  const int64_t cols = op.x.shape()[1];
  const GradientSink dx(op.x);
  scale.prepare_grad();
  const bool of_parameters = op.weight.wants_grad() || op.bias.wants_grad();
  const tensor::Tensor sums = of_parameters ? tensor::Tensor::zeros({2, cols}) : tensor::Tensor();
  sum_over_rows(
      op.x.rows(), 2 * cols, of_parameters ? sums.f32() : nullptr,
      [&](int64_t r, float* partial) { layer_norm_row_backward(op, scale, r, dx, partial); });
  if (op.weight.wants_grad()) add_to(op.weight.grad().f32(), sums.row(0), cols);
  if (op.bias.wants_grad()) add_to(op.bias.grad().f32(), sums.row(1), cols);
}

void add_gated_backward(const tensor::Tensor& x, const tensor::Tensor& branch, Modulation gate,
                        const tensor::Tensor& y) {
  if (!y.has_grad()) return;
  const int64_t cols = x.shape()[1];
  const auto n = static_cast<size_t>(cols);
  const tensor::Tensor dy = y.grad();
  // The first gradient of x is dy itself: no copy.
  const bool moves = x.wants_grad() && !x.has_grad() && x.f32() != branch.f32();
  if (moves) x.take_grad(y);
  const GradientSink dx(moves ? tensor::Tensor() : x);
  const GradientSink dbranch(branch);
  gate.prepare_grad();
  ops::for_each_row(x.rows(), cols, [&](int64_t r) {
    // x before branch: if they are one tensor, the first write is x's.
    dx.put(r, 0, dy.row(r), cols);
    if (float* out = dbranch.row(r)) {
      HWY_DYNAMIC_DISPATCH(gated_sum)
      (dbranch.fresh ? nullptr : out, dy.row(r), gate.row(r), n, out);
    }
    if (float* out = gate.grad_row(r)) {
      HWY_DYNAMIC_DISPATCH(add_product)(dy.row(r), branch.row(r), n, out);
    }
  });
}

}  // namespace

tensor::Tensor norm_modulate(tensor::Tape& tape, const tensor::Tensor& x,
                             const tensor::Tensor& weight, const tensor::Tensor& modulation,
                             int64_t scale_column, float eps) {
  EVO_CHECK(x.shape().size() == 2 && weight.numel() == x.shape()[1]);
  const int64_t cols = x.shape()[1];
  const Modulation scale(x, modulation, scale_column);
  const tensor::Tensor y = tape.output({x.rows(), cols});
  const tensor::Tensor inverse_rms = tensor::Tensor::empty({x.rows()});
  ops::for_each_row(x.rows(), cols, [&](int64_t r) {
    inverse_rms.f32()[r] = HWY_DYNAMIC_DISPATCH(norm_row)(x.row(r), weight.f32(), scale.row(r), eps,
                                                          static_cast<size_t>(cols), y.row(r));
  });
  if (tape.recording()) {
    tape.record([=] { norm_backward(x, weight, scale, inverse_rms, y); });
  }
  return y;
}

tensor::Tensor layer_norm(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& weight,
                          const tensor::Tensor& bias, const tensor::Tensor& modulation,
                          int64_t scale_column, float eps) {
  EVO_CHECK(x.shape().size() == 2 && weight.numel() == x.shape()[1]);
  EVO_CHECK(bias.numel() == x.shape()[1]);
  const int64_t cols = x.shape()[1];
  const Modulation scale(x, modulation, scale_column);
  const LayerNorm op{x, weight, bias, tape.output({x.rows(), cols}), eps};
  for_each_row(x.rows(), cols, [&](int64_t r) {
    const CentredRow u(x.row(r), cols, eps);
    const float* const s = scale.row(r);
    for (int64_t c = 0; c < cols; ++c) {
      op.y.row(r)[c] = (u[c] * weight.f32()[c] + bias.f32()[c]) * (1 + s[c]);
    }
  });
  if (tape.recording()) {
    tape.record([=] { layer_norm_backward(op, scale); });
  }
  return op.y;
}

tensor::Tensor add_gated(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& branch,
                         const tensor::Tensor& modulation, int64_t gate_column) {
  EVO_CHECK(x.shape().size() == 2 && branch.shape() == x.shape());
  const int64_t cols = x.shape()[1];
  const Modulation gate(x, modulation, gate_column);
  const tensor::Tensor y = tape.output({x.rows(), cols});
  ops::for_each_row(x.rows(), cols, [&](int64_t r) {
    HWY_DYNAMIC_DISPATCH(gated_sum)
    (x.row(r), branch.row(r), gate.row(r), static_cast<size_t>(cols), y.row(r));
  });
  if (tape.recording()) {
    tape.record([=] { add_gated_backward(x, branch, gate, y); });
  }
  return y;
}

}  // namespace evo::ops::cpu
#endif  // HWY_ONCE
