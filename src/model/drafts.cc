// The fields that draft: the inner one, of a window, and the one ahead of it.
#include "model/model.h"

#include "ops/activation.h"
#include "ops/embedding.h"
#include "ops/gated_scan.h"
#include "ops/norm.h"

namespace evo {

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
  rotate(tape, qkv, ahead_layer(), positions);
  const Tensor seen = linear(tape, attend(qkv), network_.ahead.attention_out);
  const Tensor second = add_gated(tape, first, seen, Tensor(), 0);
  const Tensor gate_up =
      linear(tape, normed(second, network_.ahead.feed_forward_norm), network_.ahead.gate_up);
  const Tensor fed =
      linear(tape, activate_gated(tape, gate_up, Activation::kSilu), network_.ahead.down);
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

}  // namespace evo
