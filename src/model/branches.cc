// What the branches of a layer are made of, as BlockConfig says.
#include "model/model.h"
#include "ops/bias.h"
#include "ops/embedding.h"
#include "ops/norm.h"
#include "ops/scale.h"

namespace evo::model {

tensor::Tensor Model::normed_linear(tensor::Tape& tape, const tensor::Tensor& x, const Norm& norm,
                                    const tensor::Tensor& modulation, int64_t slot,
                                    const ops::Weight& weight, const Adapter& adapter) const {
  const auto input = [=, this](tensor::Tape& on) {
    return branch_input(on, x, norm, modulation, slot);
  };
  const tensor::Tensor n = input(tape);
  tensor::Tensor out = adapted_linear(tape, n, weight, adapter, modulation);
  if (n.f32() != x.f32()) tape.recompute(n, input);
  return out;
}

tensor::Tensor Model::branch_input(tensor::Tape& tape, const tensor::Tensor& x, const Norm& norm,
                                   const tensor::Tensor& modulation, int64_t slot) const {
  const int64_t column = slot * config_.hidden_size;
  if (norm.weight.defined()) return normed(tape, x, norm, modulation, column);
  if (!modulation.defined()) return x;
  return ops::add_gated(tape, tensor::Tensor::zeros(x.shape()), x, modulation, column);
}

tensor::Tensor Model::branch_output(tensor::Tape& tape, const tensor::Tensor& out,
                                    const Norm& norm) const {
  const tensor::Tensor n =
      norm.weight.defined() ? normed(tape, out, norm, tensor::Tensor(), 0) : out;
  return scaled_by(tape, n, config_.residual_scale);
}

tensor::Tensor Model::normed(tensor::Tape& tape, const tensor::Tensor& x, const Norm& norm,
                             const tensor::Tensor& modulation, int64_t column) const {
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  if (config_.layer_norm) {
    return ops::layer_norm(tape, x, norm.weight, norm.bias, modulation, column, eps);
  }
  return ops::norm_modulate(tape, x, norm.weight, modulation, column, eps);
}

tensor::Tensor Model::scaled_by(tensor::Tape& tape, const tensor::Tensor& x, double factor) {
  return factor == 1 ? x : ops::scaled(tape, x, static_cast<float>(factor));
}

void Model::rotate(tensor::Tape& tape, const tensor::Tensor& qkv, int64_t layer,
                   std::span<const int32_t> positions) const {
  const Rotation rotation = config_.layer(layer).rotation;
  if (rotation == Rotation::kNone) return;
  ops::rope(tape, qkv, heads(), rotation == Rotation::kLocal ? *local_rope_ : *rope_, positions);
}

tensor::Tensor Model::adapted_linear(tensor::Tape& tape, const tensor::Tensor& x,
                                     const ops::Weight& weight, const Adapter& adapter,
                                     const tensor::Tensor& modulation) const {
  tensor::Tensor y = ops::linear(tape, x, weight);
  if (config_.adapter_rank == 0 || !modulation.defined()) return y;
  const tensor::Tensor evolving = ops::slice_rows(tape, x, x.rows() - modulation.rows(), x.rows());
  ops::add_to_last_rows(tape, y,
                        ops::linear(tape, ops::linear(tape, evolving, adapter.down), adapter.up));
  return y;
}

}  // namespace evo::model
