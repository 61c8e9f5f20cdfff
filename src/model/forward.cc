// The forward pass: what enters, the layers, what leaves.
#include "model/model.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "ops/activation.h"
#include "ops/bias.h"
#include "ops/embedding.h"
#include "ops/feed_forward.h"
#include "ops/norm.h"

namespace evo::model {
namespace {

// Columns of a layer's time modulation [Ne, 4D]: scale and gate of the attention branch, then of
// the feed-forward branch.
enum ModulationSlot { kAttentionScale, kAttentionGate, kFeedForwardScale, kFeedForwardGate };

/// What rows see of the last `window` tokens, their own place counted. A mature row is the last of
/// its context; an evolving row stands in its block behind the context, and sees the block whole.
std::vector<ops::KeyRange> windowed(const ForwardInput& input, int32_t window) {
  std::vector<ops::KeyRange> ranges = input.ranges;
  for (int32_t r = 0; r < std::ssize(ranges); ++r) {
    ops::KeyRange& range = ranges[r];
    const int32_t place =
        r < input.mature() ? range.context_end - 1 : range.context_end + r - range.self_begin;
    range.context_begin = std::clamp(place - window + 1, range.context_begin, range.context_end);
  }
  return ranges;
}

/// Of evolving rows, from 0; the last of so many is also for those behind it.
std::vector<int32_t> places_in_window(const ForwardInput& input, int64_t places) {
  std::vector<int32_t> result(input.times.size());
  for (size_t i = 0; i < result.size(); ++i) {
    const size_t r = input.ids.size() + i;
    const int64_t place = static_cast<int64_t>(r) - input.ranges[r].self_begin;
    result[i] = static_cast<int32_t>(std::min(place, places - 1));
  }
  return result;
}

}  // namespace

tensor::Tensor Model::forward(tensor::Tape& tape, const ForwardInput& input,
                              std::span<KvCache* const> caches, tensor::Tensor* ahead_keys) const {
  if (caches.empty()) return hidden_states(tape, input, nullptr, ahead_keys);
  KvPass pass(caches, input.sequences, input.mature(), input.mature() + input.evolving());
  return hidden_states(tape, input, &pass, ahead_keys);
}

tensor::Tensor Model::hidden_states(tensor::Tape& tape, const ForwardInput& input, KvPass* pass,
                                    tensor::Tensor* ahead_keys) const {
  const tensor::Tensor phi = time_features(input.times, config_.time_features);
  pass_gate(0);
  tensor::Tensor x = input_rows(tape, input, phi);
  const bool remakes = tape.keeps_inputs_only() && pass == nullptr;
  const auto kept = remakes ? std::make_shared<const ForwardInput>(input) : nullptr;
  for (int64_t i = 0; i < std::ssize(network_.layers); ++i) {
    const Layer& layer = network_.layers[i];
    pass_gate(i + 1);
    tensor::Tensor* const keys = i == ahead_layer() ? ahead_keys : nullptr;
    if (remakes) {
      // With a layer of its own: its handles say that the gradients are not complete. The keys are
      // wanted now, and not when the layer is made again.
      auto wanted = std::make_shared<tensor::Tensor*>(keys);
      x = tape.remade([this, layer, i, x, phi, kept, wanted](tensor::Tape& on) {
        return layer_rows(on, layer, i, x, phi, *kept, nullptr, std::exchange(*wanted, nullptr));
      });
    } else {
      x = layer_rows(tape, layer, i, x, phi, input, pass, keys);
    }
  }
  if (pass != nullptr) pass->advance();
  pass_gate(std::ssize(network_.layers) + 1);
  return scaled_by(tape, normed(tape, x, network_.final_norm, tensor::Tensor(), 0),
                   config_.logit_scale);
}

tensor::Tensor Model::input_rows(tensor::Tape& tape, const ForwardInput& input,
                                 const tensor::Tensor& phi) const {
  const tensor::Tensor x = token_rows(tape, input, phi);
  if (!config_.learned_positions) return x;
  return ops::add_gated(tape, x, ops::embed(tape, {network_.positions, nullptr}, input.positions),
                        tensor::Tensor(), 0);
}

tensor::Tensor Model::token_rows(tensor::Tape& tape, const ForwardInput& input,
                                 const tensor::Tensor& phi) const {
  const auto embedded = [&] {
    return scaled_by(tape, ops::embed(tape, network_.embedding, input.ids),
                     config_.embedding_scale);
  };
  if (!phi.defined()) return embedded();
  const tensor::Tensor parts[] = {input.z, input.previous_x, phi};
  tensor::Tensor evolving = ops::linear(tape, ops::concat_cols(tape, parts), network_.evolve_in);
  if (config_.window_places > 0) {
    const tensor::Tensor places = ops::embed(tape, {network_.places, nullptr},
                                             places_in_window(input, config_.window_places));
    evolving = ops::add_gated(tape, evolving, places, tensor::Tensor(), 0);
  }
  if (input.ids.empty()) return evolving;
  return ops::concat_rows(tape, embedded(), evolving);
}

tensor::Tensor Model::layer_rows(tensor::Tape& tape, const Layer& layer, int64_t index,
                                 const tensor::Tensor& x, const tensor::Tensor& phi,
                                 const ForwardInput& input, KvPass* pass,
                                 tensor::Tensor* keys) const {
  const int64_t width = config_.hidden_size;
  const tensor::Tensor modulation =
      phi.defined() ? ops::linear(tape, phi, layer.modulation) : tensor::Tensor();
  const tensor::Tensor attended =
      attention_branch(tape, layer, index, x, modulation, input, pass, keys);
  const tensor::Tensor between =
      ops::add_gated(tape, x, attended, modulation, kAttentionGate * width);
  const tensor::Tensor fed =
      feed_forward_branch(tape, layer, config_.parallel ? x : between, modulation);
  return ops::add_gated(tape, between, fed, modulation, kFeedForwardGate * width);
}

tensor::Tensor Model::attention_branch(tensor::Tape& tape, const Layer& layer, int64_t index,
                                       const tensor::Tensor& x, const tensor::Tensor& modulation,
                                       const ForwardInput& input, KvPass* pass,
                                       tensor::Tensor* keys) const {
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  tensor::Tensor qkv = normed_linear(tape, x, layer.attention_norm, modulation, kAttentionScale,
                                     layer.qkv, layer.qkv_adapter);
  if (config_.qkv_bias) ops::add_bias(tape, qkv, layer.qkv_bias);
  if (config_.qk_norm)
    qkv = ops::head_norm(tape, qkv, heads(), layer.query_norm, layer.key_norm, eps);
  rotate(tape, qkv, index, input.positions);
  if (keys != nullptr) {
    tensor::Tape unrecorded(tensor::Tape::Mode::kInference);
    *keys = ops::slice_rows(unrecorded, qkv, 0, input.mature());
  }
  std::vector<ops::KeyRange> narrowed;
  if (const int64_t window = config_.layer(index).window; window > 0) {
    narrowed = windowed(input, static_cast<int32_t>(window));
  }
  const std::span<const ops::KeyRange> ranges = narrowed.empty() ? input.ranges : narrowed;
  const tensor::Tensor attended = pass != nullptr
                                      ? pass->attention(tape, index, qkv, heads(), ranges)
                                      : ops::attention(tape, qkv, heads(), ranges, nullptr);
  tensor::Tensor out =
      adapted_linear(tape, attended, layer.attention_out, layer.attention_out_adapter, modulation);
  if (config_.attention_out_bias) ops::add_bias(tape, out, layer.attention_out_bias);
  return branch_output(tape, out, layer.attention_out_norm);
}

tensor::Tensor Model::feed_forward_branch(tensor::Tape& tape, const Layer& layer,
                                          const tensor::Tensor& x,
                                          const tensor::Tensor& modulation) const {
  if (!layer.experts.empty()) {
    const tensor::Tensor n =
        branch_input(tape, x, layer.feed_forward_norm, modulation, kFeedForwardScale);
    return branch_output(tape, mixture(tape, layer, n), layer.feed_forward_out_norm);
  }
  const auto input = [=, this, norm = layer.feed_forward_norm](tensor::Tape& on) {
    return branch_input(on, x, norm, modulation, kFeedForwardScale);
  };
  const tensor::Tensor n = input(tape);
  const bool plain = config_.gated && !config_.feed_forward_bias &&
                     (config_.adapter_rank == 0 || !modulation.defined());
  const auto when_read = [&] {
    if (n.f32() != x.f32()) tape.recompute(n, input);
  };
  tensor::Tensor out;
  if (plain) {
    out = ops::fused_feed_forward(tape, n, layer.gate_up, layer.down, config_.activation);
  }
  if (out.defined()) {
    when_read();
  } else {
    out = feed_forward_by_parts(tape, layer, n, modulation, when_read);
  }
  return branch_output(tape, out, layer.feed_forward_out_norm);
}

tensor::Tensor Model::feed_forward_by_parts(tensor::Tape& tape, const Layer& layer,
                                            const tensor::Tensor& n,
                                            const tensor::Tensor& modulation,
                                            const std::function<void()>& when_read) const {
  const tensor::Tensor gate_up =
      adapted_linear(tape, n, layer.gate_up, layer.gate_up_adapter, modulation);
  when_read();
  if (config_.feed_forward_bias) ops::add_bias(tape, gate_up, layer.gate_up_bias);
  const auto activated = [=, f = config_.activation, gated = config_.gated](tensor::Tape& on) {
    return gated ? ops::activate_gated(on, gate_up, f) : ops::activate(on, gate_up, f);
  };
  const tensor::Tensor active = activated(tape);
  const tensor::Tensor out =
      adapted_linear(tape, active, layer.down, layer.down_adapter, modulation);
  tape.recompute(active, activated);
  if (config_.feed_forward_bias) ops::add_bias(tape, out, layer.down_bias);
  return out;
}

void Model::pass_gate(int64_t use) const {
  if (gate_) gate_(use);
}

tensor::Tensor time_features(std::span<const float> times, int64_t features) {
  if (times.empty()) return {};
  const int64_t waves = (features - 2) / 2;
  tensor::Tensor phi = tensor::Tensor::empty({static_cast<int64_t>(times.size()), features});
  for (size_t r = 0; r < times.size(); ++r) {
    float* row = phi.row(static_cast<int64_t>(r));
    row[0] = 1;
    row[1] = times[r];
    for (int64_t k = 1; k <= waves; ++k) {
      const double angle = std::numbers::pi * static_cast<double>(k) * times[r] / 2;
      row[1 + k] = static_cast<float>(std::sin(angle));
      row[1 + waves + k] = static_cast<float>(std::cos(angle));
    }
  }
  return phi;
}

}  // namespace evo::model
