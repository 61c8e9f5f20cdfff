// What is done to every row: norms, gates, rotations, activations, recurrences.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ops/reference/reference.h"
#include "ops/reference/tensors.h"

namespace evo::ops::reference {
namespace {

using Positions = std::vector<int32_t>;

/// y = f(x) for y_i = x_i / rms(x) * factor_i over `size` numbers from (r, first) on: adds dL/dx to
/// dx and gives fn(i, dy_i, x_i / rms) for the gradients of what the factors are made of.
template <class Factor, class Fn>
void norm_backward(const Matrix& x, const Matrix& dy, int64_t r, int64_t first, int64_t size,
                   double eps, const Factor& factor, Matrix& dx, const Fn& fn) {
  double squares = 0, along = 0;
  for (int64_t i = 0; i < size; ++i) squares += x.at(r, first + i) * x.at(r, first + i);
  const double n = static_cast<double>(size), rms = std::sqrt(squares / n + eps);
  for (int64_t i = 0; i < size; ++i) {
    along += dy.at(r, first + i) * factor(i) * x.at(r, first + i) / rms / n;
  }
  for (int64_t i = 0; i < size; ++i) {
    const double unit = x.at(r, first + i) / rms;
    dx.at(r, first + i) += (dy.at(r, first + i) * factor(i) - unit * along) / rms;
    fn(i, dy.at(r, first + i), unit);
  }
}

/// Query and key heads turned by their positions, or back: the numbers that the table is for.
void rotate(const tensor::Tensor& rows, const HeadLayout& layout, const RopeTable& table,
            const Positions& positions, double direction) {
  const int half = table.head_size() / 2;
  for (int64_t r = 0; r < rows.rows(); ++r) {
    const float* const cosines = table.cos_row(positions[r]);
    const float* const sines = table.sin_row(positions[r]);
    for (int head = 0; head < layout.query_heads + layout.kv_heads; ++head) {
      float* const a = rows.row(r) + int64_t{head} * layout.head_size;
      float* const b = a + half;
      for (int i = 0; i < half; ++i) {
        const double cosine = cosines[i], sine = direction * sines[i], x = a[i], y = b[i];
        a[i] = static_cast<float>(x * cosine - y * sine);
        b[i] = static_cast<float>(y * cosine + x * sine);
      }
    }
  }
}

}  // namespace

tensor::Tensor norm_modulate(tensor::Tape& tape, const tensor::Tensor& x,
                             const tensor::Tensor& weight, const tensor::Tensor& modulation,
                             int64_t scale_column, float eps) {
  const Matrix weights = row_of(weight);
  const tensor::Tensor y =
      output_of(tape, norm_modulate(matrix_of(x), weights, matrix_of(modulation), scale_column,
                                    static_cast<double>(eps)));
  record(tape, y, [=](const Matrix& dy) {
    const Matrix from = matrix_of(x), scales = matrix_of(modulation);
    Matrix dx(from.rows, from.cols), dweight(from.cols, 1), dscale(scales.rows, scales.cols);
    const int64_t first = from.rows - scales.rows;
    for (int64_t r = 0; r < from.rows; ++r) {
      const auto scale = [&](int64_t c) {
        return r < first ? 1.0 : 1 + scales.at(r - first, scale_column + c);
      };
      norm_backward(
          from, dy, r, 0, from.cols, static_cast<double>(eps),
          [&](int64_t c) { return weights.at(0, c) * scale(c); }, dx,
          [&](int64_t c, double slope, double unit) {
            dweight.at(c, 0) += slope * unit * scale(c);
            if (r >= first)
              dscale.at(r - first, scale_column + c) += slope * unit * weights.at(0, c);
          });
    }
    add_gradient(x, dx);
    add_gradient(weight, dweight);
    add_gradient(modulation, dscale);
  });
  return y;
}

tensor::Tensor layer_norm(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& weight,
                          const tensor::Tensor& bias, const tensor::Tensor& modulation,
                          int64_t scale_column, float eps) {
  const tensor::Tensor y =
      output_of(tape, layer_norm(matrix_of(x), row_of(weight), row_of(bias), matrix_of(modulation),
                                 scale_column, static_cast<double>(eps)));
  record(tape, y, [=](const Matrix& dy) {
    Matrix from = matrix_of(x);
    const Matrix weights = row_of(weight), biases = row_of(bias), scales = matrix_of(modulation);
    Matrix dx(from.rows, from.cols), dweight(from.cols, 1), dbias(from.cols, 1);
    Matrix dscale(scales.rows, scales.cols);
    const int64_t first = from.rows - scales.rows;
    for (int64_t r = 0; r < from.rows; ++r) {
      double mean = 0, dmean = 0;
      for (int64_t c = 0; c < from.cols; ++c) mean += from.at(r, c) / from.cols;
      for (int64_t c = 0; c < from.cols; ++c) from.at(r, c) -= mean;
      const auto scale = [&](int64_t c) {
        return r < first ? 1.0 : 1 + scales.at(r - first, scale_column + c);
      };
      // RMSNorm of what is left, whose slopes then lose their mean.
      norm_backward(
          from, dy, r, 0, from.cols, static_cast<double>(eps),
          [&](int64_t c) { return weights.at(0, c) * scale(c); }, dx,
          [&](int64_t c, double slope, double unit) {
            dweight.at(c, 0) += slope * unit * scale(c);
            dbias.at(c, 0) += slope * scale(c);
            if (r < first) return;
            dscale.at(r - first, scale_column + c) +=
                slope * (unit * weights.at(0, c) + biases.at(0, c));
          });
      for (int64_t c = 0; c < from.cols; ++c) dmean += dx.at(r, c) / from.cols;
      for (int64_t c = 0; c < from.cols; ++c) dx.at(r, c) -= dmean;
    }
    add_gradient(x, dx);
    add_gradient(weight, dweight);
    add_gradient(bias, dbias);
    add_gradient(modulation, dscale);
  });
  return y;
}

tensor::Tensor scaled(tensor::Tape& tape, const tensor::Tensor& x, float factor) {
  const tensor::Tensor y = output_of(tape, scaled(matrix_of(x), static_cast<double>(factor)));
  record(tape, y,
         [=](const Matrix& dy) { add_gradient(x, scaled(dy, static_cast<double>(factor))); });
  return y;
}

tensor::Tensor add_gated(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& branch,
                         const tensor::Tensor& modulation, int64_t gate_column) {
  const tensor::Tensor y = output_of(
      tape, add_gated(matrix_of(x), matrix_of(branch), matrix_of(modulation), gate_column));
  record(tape, y, [=](const Matrix& dy) {
    const Matrix added = matrix_of(branch), gates = matrix_of(modulation);
    Matrix dbranch = dy, dgate(gates.rows, gates.cols);
    const int64_t first = dy.rows - gates.rows;
    for (int64_t r = first; r < dy.rows; ++r) {
      for (int64_t c = 0; c < dy.cols; ++c) {
        dbranch.at(r, c) *= 1 + gates.at(r - first, gate_column + c);
        dgate.at(r - first, gate_column + c) += dy.at(r, c) * added.at(r, c);
      }
    }
    add_gradient(x, dy);
    add_gradient(branch, dbranch);
    add_gradient(modulation, dgate);
  });
  return y;
}

void rope(tensor::Tape& tape, const tensor::Tensor& qkv, const HeadLayout& layout,
          const RopeTable& table, std::span<const int32_t> positions) {
  const Positions kept(positions.begin(), positions.end());
  rotate(qkv, layout, table, kept, 1);
  if (!tape.recording()) return;
  tape.record([=] {
    if (qkv.has_grad()) rotate(qkv.grad(), layout, table, kept, -1);
  });
}

tensor::Tensor head_norm(tensor::Tape& tape, const tensor::Tensor& qkv, const HeadLayout& layout,
                         const tensor::Tensor& q_weight, const tensor::Tensor& k_weight,
                         float eps) {
  const Matrix q = row_of(q_weight), k = row_of(k_weight);
  const tensor::Tensor y =
      output_of(tape, head_norm(matrix_of(qkv), layout, q, k, static_cast<double>(eps)));
  record(tape, y, [=](const Matrix& dy) {
    const Matrix from = matrix_of(qkv);
    Matrix dx = dy, dq(q.cols, 1), dk(k.cols, 1);  // values pass through
    for (int64_t r = 0; r < from.rows; ++r) {
      for (const auto& [query, first, size] : normed_parts(layout, q.cols, k.cols)) {
        const Matrix& weight = query ? q : k;
        Matrix& dweight = query ? dq : dk;
        for (int64_t i = 0; i < size; ++i) dx.at(r, first + i) = 0;
        norm_backward(
            from, dy, r, first, size, static_cast<double>(eps),
            [&](int64_t i) { return weight.at(0, i); }, dx,
            [&](int64_t i, double slope, double unit) { dweight.at(i, 0) += slope * unit; });
      }
    }
    add_gradient(qkv, dx);
    add_gradient(q_weight, dq);
    add_gradient(k_weight, dk);
  });
  return y;
}

tensor::Tensor activate(tensor::Tape& tape, const tensor::Tensor& x, Activation kind) {
  const tensor::Tensor y = output_of(tape, activate(matrix_of(x), kind));
  record(tape, y, [=](const Matrix& dy) {
    Matrix d = matrix_of(x);
    for (size_t i = 0; i < d.values.size(); ++i) {
      d.values[i] = dy.values[i] * activation(kind, d.values[i]).slope;
    }
    add_gradient(x, d);
  });
  return y;
}

/// Its parts are the formula.
tensor::Tensor fused_feed_forward(tensor::Tape& /*tape*/, const tensor::Tensor& /*x*/,
                                  const Weight& /*gate_up*/, const Weight& /*down*/,
                                  Activation /*f*/) {
  return {};
}

tensor::Tensor activate_gated(tensor::Tape& tape, const tensor::Tensor& gate_up, Activation kind) {
  const tensor::Tensor y = output_of(tape, activate_gated(matrix_of(gate_up), kind));
  record(tape, y, [=](const Matrix& dy) {
    const Matrix from = matrix_of(gate_up);
    Matrix d(from.rows, from.cols);
    for (int64_t r = 0; r < dy.rows; ++r) {
      for (int64_t c = 0; c < dy.cols; ++c) {
        const auto [value, slope] = activation(kind, from.at(r, c));
        d.at(r, c) = dy.at(r, c) * from.at(r, dy.cols + c) * slope;
        d.at(r, dy.cols + c) = dy.at(r, c) * value;
      }
    }
    add_gradient(gate_up, d);
  });
  return y;
}

tensor::Tensor gated_scan(tensor::Tape& tape, const tensor::Tensor& a,
                          std::span<const uint8_t> block_starts) {
  EVO_CHECK(std::ssize(block_starts) == a.rows());
  const tensor::Tensor states = tape.output({a.rows(), a.shape()[1] / 2});
  const auto cols = static_cast<size_t>(states.shape()[1]);
  for (int64_t r = 0; r < a.rows(); ++r) {
    const std::span<float> state(states.row(r), cols);
    if (r == 0 || block_starts[r] != 0) {
      std::ranges::fill(state, 0.0f);
    } else {
      std::copy_n(states.row(r - 1), cols, state.begin());
    }
    gated_step({a.row(r), 2 * cols}, state);
  }
  const std::vector<uint8_t> starts(block_starts.begin(), block_starts.end());
  record(tape, states, [=](const Matrix& dout) {
    const Matrix from = matrix_of(a), s = gated_scan(from, starts);
    Matrix da(from.rows, from.cols), ds = dout;
    for (int64_t r = from.rows - 1; r >= 0; --r) {
      const bool first = r == 0 || starts[r] != 0;
      for (int64_t c = 0; c < s.cols; ++c) {
        const double gate = sigmoid(from.at(r, c)), in = std::tanh(from.at(r, s.cols + c));
        const double before = first ? 0 : s.at(r - 1, c);
        da.at(r, c) = ds.at(r, c) * (in - before) * gate * (1 - gate);
        da.at(r, s.cols + c) = ds.at(r, c) * gate * (1 - in * in);
        if (!first) ds.at(r - 1, c) += ds.at(r, c) * (1 - gate);
      }
    }
    add_gradient(a, da);
  });
  return states;
}

void gated_step(std::span<const float> a, std::span<float> state) {
  for (size_t c = 0; c < state.size(); ++c) {
    const double gate = sigmoid(static_cast<double>(a[c]));
    const double in = std::tanh(static_cast<double>(a[state.size() + c]));
    state[c] = static_cast<float>((1 - gate) * static_cast<double>(state[c]) + gate * in);
  }
}

}  // namespace evo::ops::reference
