// The forward pass: what enters, the layers, what leaves.
#include "model/model.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "ops/activation.h"
#include "ops/bias.h"
#include "ops/embedding.h"
#include "ops/norm.h"

namespace evo {
namespace {

// Columns of a layer's time modulation [Ne, 4D]: scale and gate of the attention branch, then of
// the feed-forward branch.
enum ModulationSlot { kAttentionScale, kAttentionGate, kFeedForwardScale, kFeedForwardGate };

/// What rows see of the last `window` tokens, their own place counted. A mature row is the last of
/// its context; an evolving row stands in its block behind the context, and sees the block whole.
std::vector<KeyRange> windowed(const ForwardInput& input, int32_t window) {
  std::vector<KeyRange> ranges = input.ranges;
  for (int32_t r = 0; r < std::ssize(ranges); ++r) {
    KeyRange& range = ranges[static_cast<size_t>(r)];
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

Tensor Model::forward(Tape& tape, const ForwardInput& input, std::span<KvCache* const> caches,
                      Tensor* ahead_keys) const {
  if (caches.empty()) return hidden_states(tape, input, nullptr, ahead_keys);
  KvPass pass(caches, input.sequences, input.mature(), input.mature() + input.evolving());
  return hidden_states(tape, input, &pass, ahead_keys);
}

Tensor Model::hidden_states(Tape& tape, const ForwardInput& input, KvPass* pass,
                            Tensor* ahead_keys) const {
  const Tensor phi = time_features(input.times, config_.time_features);
  pass_gate(0);
  Tensor x = input_rows(tape, input, phi);
  const bool remakes = tape.keeps_inputs_only() && pass == nullptr;
  const auto kept = remakes ? std::make_shared<const ForwardInput>(input) : nullptr;
  for (int64_t i = 0; i < std::ssize(network_.layers); ++i) {
    const Layer& layer = network_.layers[static_cast<size_t>(i)];
    pass_gate(i + 1);
    Tensor* const keys = i == ahead_layer() ? ahead_keys : nullptr;
    if (remakes) {
      // With a layer of its own: its handles say that the gradients are not complete. The keys are
      // wanted now, and not when the layer is made again.
      auto wanted = std::make_shared<Tensor*>(keys);
      x = tape.remade([this, layer, i, x, phi, kept, wanted](Tape& on) {
        return layer_rows(on, layer, i, x, phi, *kept, nullptr, std::exchange(*wanted, nullptr));
      });
    } else {
      x = layer_rows(tape, layer, i, x, phi, input, pass, keys);
    }
  }
  if (pass != nullptr) pass->advance();
  pass_gate(std::ssize(network_.layers) + 1);
  return scaled_by(tape, normed(tape, x, network_.final_norm, Tensor(), 0), config_.logit_scale);
}

Tensor Model::input_rows(Tape& tape, const ForwardInput& input, const Tensor& phi) const {
  const Tensor x = token_rows(tape, input, phi);
  if (!config_.learned_positions) return x;
  return add_gated(tape, x, embed(tape, {network_.positions, nullptr}, input.positions), Tensor(),
                   0);
}

Tensor Model::token_rows(Tape& tape, const ForwardInput& input, const Tensor& phi) const {
  const auto embedded = [&] {
    return scaled_by(tape, embed(tape, network_.embedding, input.ids), config_.embedding_scale);
  };
  if (!phi.defined()) return embedded();
  const Tensor parts[] = {input.z, input.previous_x, phi};
  Tensor evolving = linear(tape, concat_cols(tape, parts), network_.evolve_in);
  if (config_.window_places > 0) {
    const Tensor places =
        embed(tape, {network_.places, nullptr}, places_in_window(input, config_.window_places));
    evolving = add_gated(tape, evolving, places, Tensor(), 0);
  }
  if (input.ids.empty()) return evolving;
  return concat_rows(tape, embedded(), evolving);
}

Tensor Model::layer_rows(Tape& tape, const Layer& layer, int64_t index, const Tensor& x,
                         const Tensor& phi, const ForwardInput& input, KvPass* pass,
                         Tensor* keys) const {
  const int64_t width = config_.hidden_size;
  const Tensor modulation = phi.defined() ? linear(tape, phi, layer.modulation) : Tensor();
  const Tensor attended = attention_branch(tape, layer, index, x, modulation, input, pass, keys);
  const Tensor between = add_gated(tape, x, attended, modulation, kAttentionGate * width);
  const Tensor fed = feed_forward_branch(tape, layer, config_.parallel ? x : between, modulation);
  return add_gated(tape, between, fed, modulation, kFeedForwardGate * width);
}

Tensor Model::attention_branch(Tape& tape, const Layer& layer, int64_t index, const Tensor& x,
                               const Tensor& modulation, const ForwardInput& input, KvPass* pass,
                               Tensor* keys) const {
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  Tensor qkv = normed_linear(tape, x, layer.attention_norm, modulation, kAttentionScale, layer.qkv,
                             layer.qkv_adapter);
  if (config_.qkv_bias) add_bias(tape, qkv, layer.qkv_bias);
  if (config_.qk_norm) qkv = head_norm(tape, qkv, heads(), layer.query_norm, layer.key_norm, eps);
  rotate(tape, qkv, index, input.positions);
  if (keys != nullptr) {
    Tape unrecorded(Tape::Mode::kInference);
    *keys = slice_rows(unrecorded, qkv, 0, input.mature());
  }
  std::vector<KeyRange> narrowed;
  if (const int64_t window = config_.layer(index).window; window > 0) {
    narrowed = windowed(input, static_cast<int32_t>(window));
  }
  const std::span<const KeyRange> ranges = narrowed.empty() ? input.ranges : narrowed;
  const Tensor attended = pass != nullptr ? pass->attention(tape, index, qkv, heads(), ranges)
                                          : attention(tape, qkv, heads(), ranges, nullptr);
  Tensor out =
      adapted_linear(tape, attended, layer.attention_out, layer.attention_out_adapter, modulation);
  if (config_.attention_out_bias) add_bias(tape, out, layer.attention_out_bias);
  return branch_output(tape, out, layer.attention_out_norm);
}

Tensor Model::feed_forward_branch(Tape& tape, const Layer& layer, const Tensor& x,
                                  const Tensor& modulation) const {
  if (!layer.experts.empty()) {
    const Tensor n = branch_input(tape, x, layer.feed_forward_norm, modulation, kFeedForwardScale);
    return branch_output(tape, mixture(tape, layer, n), layer.feed_forward_out_norm);
  }
  const Tensor gate_up = normed_linear(tape, x, layer.feed_forward_norm, modulation,
                                       kFeedForwardScale, layer.gate_up, layer.gate_up_adapter);
  if (config_.feed_forward_bias) add_bias(tape, gate_up, layer.gate_up_bias);
  const auto activated = [=, f = config_.activation, gated = config_.gated](Tape& on) {
    return gated ? activate_gated(on, gate_up, f) : activate(on, gate_up, f);
  };
  const Tensor active = activated(tape);
  const Tensor out = adapted_linear(tape, active, layer.down, layer.down_adapter, modulation);
  tape.recompute(active, activated);
  if (config_.feed_forward_bias) add_bias(tape, out, layer.down_bias);
  return branch_output(tape, out, layer.feed_forward_out_norm);
}

void Model::pass_gate(int64_t use) const {
  if (gate_) gate_(use);
}

Tensor time_features(std::span<const float> times, int64_t features) {
  if (times.empty()) return {};
  const int64_t waves = (features - 2) / 2;
  Tensor phi = Tensor::empty({static_cast<int64_t>(times.size()), features});
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

}  // namespace evo
