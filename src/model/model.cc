#include "model/model.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "base/random.h"
#include "base/threads/parallel.h"
#include "ops/bias.h"
#include "ops/codes.h"
#include "ops/embedding.h"
#include "ops/gated_scan.h"
#include "ops/norm.h"
#include "ops/swiglu.h"

namespace evo {
namespace {

// Columns of a layer's time modulation [Ne, 4D]: scale and gate of the attention branch, then of
// the feed-forward branch.
enum ModulationSlot { kAttentionScale, kAttentionGate, kFeedForwardScale, kFeedForwardGate };

// The field ahead may draft the likeliest tokens that make up this share of text, but only so many
// per column of h that unembedding takes a third of a step: rarer tokens slow drafts more than they
// are worth (7m: 1.74 times ar with 0.86 of text, 1.60 with 0.995).
constexpr double kAheadCoverage = 0.995;
constexpr int64_t kAheadTokensPerColumn = 4;

/// The fewest tokens that make up a share of text, but no more than `most`, in their order.
std::vector<int32_t> likeliest_tokens(std::span<const float> unigram, double share, size_t most) {
  std::vector<int32_t> tokens(unigram.size());
  std::iota(tokens.begin(), tokens.end(), 0);
  std::ranges::stable_sort(tokens, std::greater(),
                           [&](int32_t v) { return unigram[static_cast<size_t>(v)]; });
  double covered = 0;
  size_t count = 0;
  while (count < std::min(most, tokens.size()) && covered < share) {
    covered += unigram[static_cast<size_t>(tokens[count++])];
  }
  tokens.resize(count);
  std::ranges::sort(tokens);
  return tokens;
}

std::string layer_name(int64_t layer, const char* part) {
  return fmt::format("model.layers.{}.{}", layer, part);
}

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

Model::Model(const ModelConfig& config, bool gradients) : config_(config) {
  config_.validate();
  declare_parameters(config_, parameters_);
  parameters_.allocate(gradients);
  bind();
  rope_ = std::make_unique<RopeTable>(static_cast<int>(config.head_dim), config.rope_theta,
                                      config.max_position_embeddings, config.rope_scaling);
  set_time(EntropicTime::standard(static_cast<int>(config.code_size)));
  unigram_.assign(static_cast<size_t>(config.vocab_size),
                  1.0f / static_cast<float>(config.vocab_size));
}

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
  for (int64_t i = 0; i < std::ssize(layers_); ++i) {
    const Layer& layer = layers_[static_cast<size_t>(i)];
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
  pass_gate(std::ssize(layers_) + 1);
  return norm_modulate(tape, x, final_norm_, Tensor(), 0, static_cast<float>(config_.rms_norm_eps));
}

void Model::pass_gate(int64_t use) const {
  if (gate_) gate_(use);
}

Tensor Model::layer_rows(Tape& tape, const Layer& layer, int64_t index, const Tensor& x,
                         const Tensor& phi, const ForwardInput& input, KvPass* pass,
                         Tensor* keys) const {
  const int64_t width = config_.hidden_size;
  const Tensor modulation = phi.defined() ? linear(tape, phi, layer.modulation) : Tensor();
  const Tensor attended = attention_branch(tape, layer, index, x, modulation, input, pass, keys);
  const Tensor between = add_gated(tape, x, attended, modulation, kAttentionGate * width);
  const Tensor fed = feed_forward_branch(tape, layer, between, modulation);
  return add_gated(tape, between, fed, modulation, kFeedForwardGate * width);
}

Tensor Model::input_rows(Tape& tape, const ForwardInput& input, const Tensor& phi) const {
  if (!phi.defined()) return embed(tape, embedding_, input.ids);
  const Tensor parts[] = {input.z, input.previous_x, phi};
  Tensor evolving = linear(tape, concat_cols(tape, parts), evolve_in_);
  if (config_.window_places > 0) {
    const Tensor places = embed(tape, places_, places_in_window(input, config_.window_places));
    evolving = add_gated(tape, evolving, places, Tensor(), 0);
  }
  if (input.ids.empty()) return evolving;
  return concat_rows(tape, embed(tape, embedding_, input.ids), evolving);
}

Tensor Model::attention_branch(Tape& tape, const Layer& layer, int64_t index, const Tensor& x,
                               const Tensor& modulation, const ForwardInput& input, KvPass* pass,
                               Tensor* keys) const {
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  Tensor qkv = normed_linear(tape, x, layer.attention_norm, modulation, kAttentionScale, layer.qkv,
                             layer.qkv_adapter);
  if (config_.qkv_bias) add_bias(tape, qkv, layer.qkv_bias);
  if (config_.qk_norm) qkv = head_norm(tape, qkv, heads(), layer.query_norm, layer.key_norm, eps);
  rope(tape, qkv, heads(), *rope_, input.positions);
  if (keys != nullptr) {
    Tape unrecorded(Tape::Mode::kInference);
    *keys = slice_rows(unrecorded, qkv, 0, input.mature());
  }
  std::vector<KeyRange> narrowed;
  if (const int64_t window = config_.window_of(index); window > 0) {
    narrowed = windowed(input, static_cast<int32_t>(window));
  }
  const std::span<const KeyRange> ranges = narrowed.empty() ? input.ranges : narrowed;
  const Tensor attended = pass != nullptr ? pass->attention(tape, index, qkv, heads(), ranges)
                                          : attention(tape, qkv, heads(), ranges, nullptr);
  return adapted_linear(tape, attended, layer.attention_out, layer.attention_out_adapter,
                        modulation);
}

Tensor Model::feed_forward_branch(Tape& tape, const Layer& layer, const Tensor& x,
                                  const Tensor& modulation) const {
  const Tensor gate_up = normed_linear(tape, x, layer.feed_forward_norm, modulation,
                                       kFeedForwardScale, layer.gate_up, layer.gate_up_adapter);
  const auto activate = [=](Tape& on) { return swiglu(on, gate_up); };
  const Tensor active = activate(tape);
  Tensor out = adapted_linear(tape, active, layer.down, layer.down_adapter, modulation);
  tape.recompute(active, activate);
  return out;
}

Tensor Model::normed_linear(Tape& tape, const Tensor& x, const Tensor& norm,
                            const Tensor& modulation, int64_t slot, const Weight& weight,
                            const Adapter& adapter) const {
  const int64_t column = slot * config_.hidden_size;
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  const auto normalize = [=](Tape& on) {
    return norm_modulate(on, x, norm, modulation, column, eps);
  };
  const Tensor n = normalize(tape);
  Tensor out = adapted_linear(tape, n, weight, adapter, modulation);
  tape.recompute(n, normalize);
  return out;
}

Tensor Model::adapted_linear(Tape& tape, const Tensor& x, const Weight& weight,
                             const Adapter& adapter, const Tensor& modulation) const {
  Tensor y = linear(tape, x, weight);
  if (config_.adapter_rank == 0 || !modulation.defined()) return y;
  const Tensor evolving = slice_rows(tape, x, x.rows() - modulation.rows(), x.rows());
  add_to_last_rows(tape, y, linear(tape, linear(tape, evolving, adapter.down), adapter.up));
  return y;
}

Tensor Model::draft_inputs(Tape& tape, const Tensor& h, std::span<const int32_t> previous) const {
  const Tensor parts[] = {
      h, embed(tape, Weight{embedding_.value.detach(), embedding_.packed}, previous)};
  return concat_cols(tape, parts);
}

Tensor Model::inner_field(Tape& tape, const Tensor& h, std::span<const int32_t> previous,
                          std::span<const uint8_t> block_starts) const {
  const Tensor gates = linear(tape, draft_inputs(tape, h, previous), inner_.in);
  const Tensor drift = linear(tape, gated_scan(tape, gates, block_starts), inner_.out);
  return add_gated(tape, h, drift, Tensor(), 0);
}

Tensor Model::inner_step(const Tensor& h_row, int32_t previous, std::span<float> state) const {
  Tape tape(Tape::Mode::kInference);
  const Tensor inputs = draft_inputs(tape, h_row, std::span(&previous, 1));
  gated_step(linear(tape, inputs, inner_.in).values(), state);
  const auto size = static_cast<int64_t>(state.size());
  const Tensor drift = linear(tape, Tensor::view(state.data(), {1, size}), inner_.out);
  return add_gated(tape, h_row, drift, Tensor(), 0);
}

template <class Attend>
Tensor Model::ahead_output(Tape& tape, const Tensor& inputs, const Tensor& states,
                           std::span<const int32_t> positions, const Attend& attend) const {
  const auto normed = [&](const Tensor& x, const Tensor& norm) {
    return norm_modulate(tape, x, norm, Tensor(), 0, static_cast<float>(config_.rms_norm_eps));
  };
  const Tensor parts[] = {states, inputs};
  const Tensor first = linear(tape, concat_cols(tape, parts), ahead_.out);
  const Tensor query[] = {linear(tape, normed(first, ahead_.attention_norm), ahead_.query),
                          Tensor::zeros({first.rows(), 2 * heads().kv_cols()})};
  const Tensor qkv = concat_cols(tape, query);
  rope(tape, qkv, heads(), *rope_, positions);
  const Tensor seen = linear(tape, attend(qkv), ahead_.attention_out);
  const Tensor second = add_gated(tape, first, seen, Tensor(), 0);
  const Tensor gate_up = linear(tape, normed(second, ahead_.feed_forward_norm), ahead_.gate_up);
  const Tensor fed = linear(tape, swiglu(tape, gate_up), ahead_.down);
  return normed(add_gated(tape, second, fed, Tensor(), 0), ahead_.norm);
}

Tensor Model::ahead_field(Tape& tape, const AheadInput& input) const {
  EVO_CHECK(config_.ahead_size > 0);
  const Tensor inputs = draft_inputs(tape, input.h, input.previous);
  const Tensor states = gated_scan(tape, linear(tape, inputs, ahead_.in), input.starts);
  return ahead_output(tape, inputs, states, input.positions, [&](const Tensor& qkv) {
    // One call over the mature rows, whose own results nobody needs, and those that ask.
    std::vector<KeyRange> ranges;
    for (int32_t r = 0; r < input.keys.rows(); ++r) ranges.push_back({r, r + 1, 0, 0});
    ranges.insert(ranges.end(), input.context.begin(), input.context.end());
    const Tensor all = concat_rows(tape, input.keys, qkv);
    const Tensor seen = attention(tape, all, heads(), ranges, nullptr);
    return slice_rows(tape, seen, input.keys.rows(), all.rows());
  });
}

Tensor Model::ahead_step(const Tensor& h, std::span<const int32_t> previous,
                         std::span<const int32_t> positions, std::span<const KvCache* const> caches,
                         const Tensor& states) const {
  Tape tape(Tape::Mode::kInference);
  const Tensor inputs = draft_inputs(tape, h, previous);
  const Tensor gates = linear(tape, inputs, ahead_.in);
  for (int64_t r = 0; r < states.rows(); ++r) {
    gated_step({gates.row(r), static_cast<size_t>(gates.cols())},
               {states.row(r), static_cast<size_t>(states.cols())});
  }
  return ahead_output(tape, inputs, states, positions, [&](const Tensor& qkv) {
    std::vector<KeyRange> ranges;
    std::vector<int32_t> sequences;
    std::vector<CachedKeys> texts;
    for (const KvCache* cache : caches) {
      sequences.push_back(static_cast<int32_t>(texts.size()));
      texts.push_back(cache->view(ahead_layer()));
      ranges.push_back({0, static_cast<int32_t>(texts.back().length), 0, 0});
    }
    return cached_attention(tape, qkv, heads(), ranges, sequences, texts);
  });
}

Tensor Model::codes(Tape& tape) const {
  pass_gate(0);
  return normalize_codes(tape, codes_);
}

Weight Model::detached_unembedding() const {
  return {unembedding_.value.detach(), unembedding_.packed};
}

HeadLayout Model::heads() const {
  return {static_cast<int>(config_.num_attention_heads),
          static_cast<int>(config_.num_key_value_heads), static_cast<int>(config_.head_dim)};
}

void Model::set_time(const EntropicTime& time) {
  const auto rounded = [](std::vector<double> values) {
    for (double& value : values) value = static_cast<float>(value);
    return values;
  };
  time_.emplace(rounded(time.log_snr()), rounded(time.time_values()));
}

Tensor Model::bound(const std::string& name) const {
  const Tensor tensor = parameters_.tensor(name);
  return trained_ != nullptr && !trained_(name) ? tensor.detach() : tensor;
}

void Model::train_only(bool (*trained)(std::string_view name)) {
  trained_ = trained;
  bind();
}

void Model::bind() {
  const auto weight = [&](const std::string& name) { return Weight{bound(name), nullptr}; };
  const auto fused = [&](const std::string& first, const std::string& last) {
    const Tensor all = parameters_.fused(first, last);
    return trained_ != nullptr && !trained_(first) ? all.detach() : all;
  };
  layers_.resize(static_cast<size_t>(config_.num_hidden_layers));
  for (size_t i = 0; i < layers_.size(); ++i) {
    const auto name = [&](const char* part) { return layer_name(static_cast<int64_t>(i), part); };
    Layer& layer = layers_[i];
    layer.attention_norm = bound(name("input_layernorm.weight"));
    layer.feed_forward_norm = bound(name("post_attention_layernorm.weight"));
    layer.qkv = {fused(name("self_attn.q_proj.weight"), name("self_attn.v_proj.weight")), nullptr};
    if (config_.qkv_bias) {
      layer.qkv_bias = fused(name("self_attn.q_proj.bias"), name("self_attn.v_proj.bias"));
    }
    layer.attention_out = weight(name("self_attn.o_proj.weight"));
    if (config_.qk_norm) {
      layer.query_norm = bound(name("self_attn.q_norm.weight"));
      layer.key_norm = bound(name("self_attn.k_norm.weight"));
    }
    layer.gate_up = {fused(name("mlp.gate_proj.weight"), name("mlp.up_proj.weight")), nullptr};
    layer.down = weight(name("mlp.down_proj.weight"));
    if (config_.flow) layer.modulation = weight(fmt::format("evo.layers.{}.modulation.weight", i));
    if (!config_.flow || config_.adapter_rank == 0) continue;
    const auto adapter = [&](const char* matrix) {
      const std::string at = fmt::format("evo.layers.{}.adapters.{}.", i, matrix);
      return Adapter{weight(at + "down.weight"), weight(at + "up.weight")};
    };
    layer.qkv_adapter = adapter("qkv");
    layer.attention_out_adapter = adapter("attention_out");
    layer.gate_up_adapter = adapter("gate_up");
    layer.down_adapter = adapter("down");
  }
  embedding_ = weight("model.embed_tokens.weight");
  final_norm_ = bound("model.norm.weight");
  unembedding_ = config_.tie_word_embeddings ? embedding_ : weight("lm_head.weight");
  if (!config_.flow) return;
  codes_ = bound("evo.codes");
  evolve_in_ = weight("evo.evolve_in.weight");
  if (config_.window_places > 0) places_ = weight("evo.places.weight");
  inner_ = {weight("evo.inner.in.weight"), weight("evo.inner.out.weight")};
  maturity_ = bound("evo.maturity.weight");
  if (config_.ahead_size == 0) return;
  ahead_ = {weight("evo.ahead.in.weight"),
            weight("evo.ahead.out.weight"),
            weight("evo.ahead.query.weight"),
            weight("evo.ahead.attention_out.weight"),
            weight("evo.ahead.gate_up.weight"),
            weight("evo.ahead.down.weight"),
            bound("evo.ahead.attention_norm.weight"),
            bound("evo.ahead.feed_forward_norm.weight"),
            bound("evo.ahead.norm.weight")};
  ahead_maturity_ = bound("evo.ahead.maturity.weight");
}

std::vector<Weight*> Model::weights() {
  std::vector<Weight*> all = {&embedding_};
  if (!config_.tie_word_embeddings) all.push_back(&unembedding_);
  for (Layer& layer : layers_) {
    for (Weight* w : {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down})
      all.push_back(w);
    if (config_.flow) all.push_back(&layer.modulation);
    if (!config_.flow || config_.adapter_rank == 0) continue;
    for (Adapter* a : {&layer.qkv_adapter, &layer.attention_out_adapter, &layer.gate_up_adapter,
                       &layer.down_adapter}) {
      all.push_back(&a->down);
      all.push_back(&a->up);
    }
  }
  if (config_.flow) {
    for (Weight* w : {&evolve_in_, &inner_.in, &inner_.out}) all.push_back(w);
  }
  if (config_.drafts_ahead()) std::ranges::copy(ahead_.weights(), std::back_inserter(all));
  return all;
}

void Model::pack(Precision precision) {
  for (Weight* w : weights()) pack(*w, precision);
}

bool Model::unembeds_ahead(const Weight& w) const {
  return config_.drafts_ahead() &&
         &w == (config_.tie_word_embeddings ? &embedding_ : &unembedding_);
}

bool Model::is_ahead(const Weight& w) {
  return std::ranges::count(ahead_.weights(), &w) > 0;
}

void Model::pack(Weight& w, Precision precision) {
  set_packed(w, pack_weight(w.value.f32(), w.value.rows(), w.value.cols(),
                            is_ahead(w) ? Precision::kInt8 : precision));
  if (unembeds_ahead(w)) pack_ahead_unembedding();
}

void Model::pack_ahead_unembedding() {
  const int64_t width = config_.hidden_size;
  ahead_tokens_ = likeliest_tokens(unigram_, kAheadCoverage,
                                   static_cast<size_t>(kAheadTokensPerColumn * width));
  const int64_t count = std::ssize(ahead_tokens_);
  const Tensor rows = Tensor::empty({count, width});
  for (int64_t i = 0; i < count; ++i) {
    std::copy_n(unembedding_.value.row(ahead_tokens_[static_cast<size_t>(i)]), width, rows.row(i));
  }
  // Of the values of what is packed only their shape is used.
  ahead_unembedding_ = {Tensor::view(unembedding_.value.f32(), {count, width}),
                        pack_weight(rows.f32(), count, width, Precision::kInt8)};
}

void Model::pack(Weight& w, const Tensor& bits) {
  set_packed(w, pack_bf16_weight(bits.bf16(), bits.rows(), bits.cols()));
}

void Model::set_packed(Weight& w, std::shared_ptr<const PackedWeight> packed) {
  w.packed = std::move(packed);
  if (&w == &embedding_ && config_.tie_word_embeddings) unembedding_.packed = w.packed;
}

size_t Model::pass_bytes() const {
  EVO_CHECK(unembedding_.packed != nullptr);
  size_t bytes = unembedding_.packed->bytes();
  for (const Layer& layer : layers_) {
    for (const Weight* w : {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down}) {
      bytes += w->packed->bytes();
    }
  }
  return bytes;
}

void Model::initialize(uint64_t seed) {
  constexpr float kDeviation = 0.02f;
  const float residual =
      kDeviation / std::sqrt(2.0f * static_cast<float>(config_.num_hidden_layers));
  const auto& list = parameters_.list();
  parallel_items(static_cast<int64_t>(list.size()), [&](int64_t index) {
    const Parameter& p = list[static_cast<size_t>(index)];
    const std::span<float> values = parameters_.values_of(p);
    if (p.name.ends_with("norm.weight")) {
      std::ranges::fill(values, 1.0f);
    } else if (p.name.ends_with("modulation.weight") || p.name == "evo.inner.out.weight" ||
               p.name == "evo.places.weight" || p.name == "evo.ahead.attention_out.weight" ||
               p.name == "evo.ahead.down.weight" || p.name.ends_with("maturity.weight") ||
               p.name.ends_with("proj.bias") || p.name.ends_with(".up.weight")) {
      std::ranges::fill(values, 0.0f);
    } else {
      const bool is_residual =
          p.name.ends_with("o_proj.weight") || p.name.ends_with("down_proj.weight");
      const float deviation = p.name == "evo.codes" ? 1.0f : is_residual ? residual : kDeviation;
      Random random(seed, stream_id({0x696E6974, static_cast<uint64_t>(index)}));
      random.fill_normal(values);
      for (float& value : values) value *= deviation;
    }
  });
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
