// What the branches of a layer are made of, as BlockConfig says.
#include "model/model.h"
#include "ops/bias.h"
#include "ops/embedding.h"
#include "ops/norm.h"
#include "ops/scale.h"

namespace evo {

Tensor Model::normed_linear(Tape& tape, const Tensor& x, const Norm& norm, const Tensor& modulation,
                            int64_t slot, const Weight& weight, const Adapter& adapter) const {
  const auto input = [=, this](Tape& on) { return branch_input(on, x, norm, modulation, slot); };
  const Tensor n = input(tape);
  Tensor out = adapted_linear(tape, n, weight, adapter, modulation);
  if (n.f32() != x.f32()) tape.recompute(n, input);
  return out;
}

Tensor Model::branch_input(Tape& tape, const Tensor& x, const Norm& norm, const Tensor& modulation,
                           int64_t slot) const {
  const int64_t column = slot * config_.hidden_size;
  if (norm.weight.defined()) return normed(tape, x, norm, modulation, column);
  if (!modulation.defined()) return x;
  return add_gated(tape, Tensor::zeros(x.shape()), x, modulation, column);
}

Tensor Model::branch_output(Tape& tape, const Tensor& out, const Norm& norm) const {
  const Tensor n = norm.weight.defined() ? normed(tape, out, norm, Tensor(), 0) : out;
  return scaled_by(tape, n, config_.residual_scale);
}

Tensor Model::normed(Tape& tape, const Tensor& x, const Norm& norm, const Tensor& modulation,
                     int64_t column) const {
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  if (config_.layer_norm) {
    return layer_norm(tape, x, norm.weight, norm.bias, modulation, column, eps);
  }
  return norm_modulate(tape, x, norm.weight, modulation, column, eps);
}

Tensor Model::scaled_by(Tape& tape, const Tensor& x, double factor) {
  return factor == 1 ? x : scaled(tape, x, static_cast<float>(factor));
}

void Model::rotate(Tape& tape, const Tensor& qkv, int64_t layer,
                   std::span<const int32_t> positions) const {
  const Rotation rotation = config_.layer(layer).rotation;
  if (rotation == Rotation::kNone) return;
  rope(tape, qkv, heads(), rotation == Rotation::kLocal ? *local_rope_ : *rope_, positions);
}

Tensor Model::adapted_linear(Tape& tape, const Tensor& x, const Weight& weight,
                             const Adapter& adapter, const Tensor& modulation) const {
  Tensor y = linear(tape, x, weight);
  if (config_.adapter_rank == 0 || !modulation.defined()) return y;
  const Tensor evolving = slice_rows(tape, x, x.rows() - modulation.rows(), x.rows());
  add_to_last_rows(tape, y, linear(tape, linear(tape, evolving, adapter.down), adapter.up));
  return y;
}

}  // namespace evo
