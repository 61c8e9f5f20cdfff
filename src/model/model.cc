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
  return norm_modulate(tape, x, network_.final_norm, Tensor(), 0,
                       static_cast<float>(config_.rms_norm_eps));
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
  if (!phi.defined()) return embed(tape, network_.embedding, input.ids);
  const Tensor parts[] = {input.z, input.previous_x, phi};
  Tensor evolving = linear(tape, concat_cols(tape, parts), network_.evolve_in);
  if (config_.window_places > 0) {
    const Tensor places =
        embed(tape, {network_.places, nullptr}, places_in_window(input, config_.window_places));
    evolving = add_gated(tape, evolving, places, Tensor(), 0);
  }
  if (input.ids.empty()) return evolving;
  return concat_rows(tape, embed(tape, network_.embedding, input.ids), evolving);
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
      h,
      embed(tape, Weight{network_.embedding.value.detach(), network_.embedding.packed}, previous)};
  return concat_cols(tape, parts);
}

Tensor Model::inner_field(Tape& tape, const Tensor& h, std::span<const int32_t> previous,
                          std::span<const uint8_t> block_starts) const {
  const Tensor gates = linear(tape, draft_inputs(tape, h, previous), network_.inner.in);
  const Tensor drift = linear(tape, gated_scan(tape, gates, block_starts), network_.inner.out);
  return add_gated(tape, h, drift, Tensor(), 0);
}

Tensor Model::inner_step(const Tensor& h_row, int32_t previous, std::span<float> state) const {
  Tape tape(Tape::Mode::kInference);
  const Tensor inputs = draft_inputs(tape, h_row, std::span(&previous, 1));
  gated_step(linear(tape, inputs, network_.inner.in).values(), state);
  const auto size = static_cast<int64_t>(state.size());
  const Tensor drift = linear(tape, Tensor::view(state.data(), {1, size}), network_.inner.out);
  return add_gated(tape, h_row, drift, Tensor(), 0);
}

template <class Attend>
Tensor Model::ahead_output(Tape& tape, const Tensor& inputs, const Tensor& states,
                           std::span<const int32_t> positions, const Attend& attend) const {
  const auto normed = [&](const Tensor& x, const Tensor& norm) {
    return norm_modulate(tape, x, norm, Tensor(), 0, static_cast<float>(config_.rms_norm_eps));
  };
  const Tensor parts[] = {states, inputs};
  const Tensor first = linear(tape, concat_cols(tape, parts), network_.ahead.out);
  const Tensor query[] = {
      linear(tape, normed(first, network_.ahead.attention_norm), network_.ahead.query),
      Tensor::zeros({first.rows(), 2 * heads().kv_cols()})};
  const Tensor qkv = concat_cols(tape, query);
  rope(tape, qkv, heads(), *rope_, positions);
  const Tensor seen = linear(tape, attend(qkv), network_.ahead.attention_out);
  const Tensor second = add_gated(tape, first, seen, Tensor(), 0);
  const Tensor gate_up =
      linear(tape, normed(second, network_.ahead.feed_forward_norm), network_.ahead.gate_up);
  const Tensor fed = linear(tape, swiglu(tape, gate_up), network_.ahead.down);
  return normed(add_gated(tape, second, fed, Tensor(), 0), network_.ahead.norm);
}

Tensor Model::ahead_field(Tape& tape, const AheadInput& input) const {
  EVO_CHECK(config_.ahead_size > 0);
  const Tensor inputs = draft_inputs(tape, input.h, input.previous);
  const Tensor states = gated_scan(tape, linear(tape, inputs, network_.ahead.in), input.starts);
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
  const Tensor gates = linear(tape, inputs, network_.ahead.in);
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
  return normalize_codes(tape, network_.codes);
}

Weight Model::detached_unembedding() const {
  return {network_.unembedding.value.detach(), network_.unembedding.packed};
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

void Model::train_only(bool (*trained)(std::string_view name)) {
  trained_ = trained;
  bind();
}

void Model::bind() {
  declare_network(config_, network_, [this](const Declaration& weight) {
    const std::string& first = weight.arrays.front().name;
    Tensor values = parameters_.fused(first, weight.arrays.back().name);
    if (trained_ != nullptr && !trained_(first)) values = values.detach();
    if (Tensor* const* tensor = std::get_if<Tensor*>(&weight.holder)) {
      **tensor = values;
    } else {
      *std::get<Weight*>(weight.holder) = {values, nullptr};
    }
  });
  if (config_.tie_word_embeddings) network_.unembedding = network_.embedding;
}

std::vector<Model::PackedUnit> Model::units() {
  std::vector<PackedUnit> all;
  std::span<const Parameter> rest = parameters_.list();
  declare_network(config_, network_, [&](const Declaration& declared) {
    const auto* const weight = std::get_if<Weight*>(&declared.holder);
    const size_t arrays = declared.arrays.size(), together = weight ? arrays : 1;
    for (size_t i = 0; i < arrays; i += together) {
      all.push_back({rest.first(together), weight ? *weight : nullptr});
      rest = rest.subspan(together);
    }
  });
  return all;
}

void Model::pack(Precision precision) {
  for (const PackedUnit& unit : units()) {
    if (unit.weight != nullptr) pack(*unit.weight, precision);
  }
}

bool Model::unembeds_ahead(const Weight& w) const {
  return config_.drafts_ahead() &&
         &w == (config_.tie_word_embeddings ? &network_.embedding : &network_.unembedding);
}

bool Model::is_ahead(const Weight& w) const {
  const AheadField& a = network_.ahead;
  return std::ranges::count(
             std::array{&a.in, &a.out, &a.query, &a.attention_out, &a.gate_up, &a.down}, &w) > 0;
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
    std::copy_n(network_.unembedding.value.row(ahead_tokens_[static_cast<size_t>(i)]), width,
                rows.row(i));
  }
  // Of the values of what is packed only their shape is used.
  ahead_unembedding_ = {Tensor::view(network_.unembedding.value.f32(), {count, width}),
                        pack_weight(rows.f32(), count, width, Precision::kInt8)};
}

void Model::pack(Weight& w, const Tensor& bits) {
  set_packed(w, pack_bf16_weight(bits.bf16(), bits.rows(), bits.cols()));
}

void Model::set_packed(Weight& w, std::shared_ptr<const PackedWeight> packed) {
  w.packed = std::move(packed);
  if (&w == &network_.embedding && config_.tie_word_embeddings)
    network_.unembedding.packed = w.packed;
}

size_t Model::pass_bytes() const {
  EVO_CHECK(network_.unembedding.packed != nullptr);
  size_t bytes = network_.unembedding.packed->bytes();
  for (const Layer& layer : network_.layers) {
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
    if (p.start == Start::kOnes || p.start == Start::kZeros) {
      std::ranges::fill(values, p.start == Start::kOnes ? 1.0f : 0.0f);
    } else {
      const float deviation = p.start == Start::kUnit       ? 1.0f
                              : p.start == Start::kResidual ? residual
                                                            : kDeviation;
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
