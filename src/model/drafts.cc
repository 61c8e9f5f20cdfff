// The fields that draft: the inner one, of a window, and the one ahead of it.
#include "model/model.h"

#include "ops/activation.h"
#include "ops/embedding.h"
#include "ops/gated_scan.h"
#include "ops/norm.h"

namespace evo::model {

tensor::Tensor Model::draft_inputs(tensor::Tape& tape, const tensor::Tensor& h,
                                   std::span<const int32_t> previous) const {
  const tensor::Tensor parts[] = {
      h, ops::embed(tape, ops::Weight{network_.embedding.value.detach(), network_.embedding.packed},
                    previous)};
  return ops::concat_cols(tape, parts);
}

tensor::Tensor Model::inner_field(tensor::Tape& tape, const tensor::Tensor& h,
                                  std::span<const int32_t> previous,
                                  std::span<const uint8_t> block_starts) const {
  const tensor::Tensor gates =
      ops::linear(tape, draft_inputs(tape, h, previous), network_.inner.in);
  const tensor::Tensor drift =
      ops::linear(tape, ops::gated_scan(tape, gates, block_starts), network_.inner.out);
  return ops::add_gated(tape, h, drift, tensor::Tensor(), 0);
}

tensor::Tensor Model::inner_step(const tensor::Tensor& h_row, int32_t previous,
                                 std::span<float> state) const {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor inputs = draft_inputs(tape, h_row, std::span(&previous, 1));
  ops::gated_step(ops::linear(tape, inputs, network_.inner.in).values(), state);
  const auto size = static_cast<int64_t>(state.size());
  const tensor::Tensor drift =
      ops::linear(tape, tensor::Tensor::view(state.data(), {1, size}), network_.inner.out);
  return ops::add_gated(tape, h_row, drift, tensor::Tensor(), 0);
}

template <class Attend>
tensor::Tensor Model::ahead_output(tensor::Tape& tape, const tensor::Tensor& inputs,
                                   const tensor::Tensor& states, std::span<const int32_t> positions,
                                   const Attend& attend) const {
  const auto normed = [&](const tensor::Tensor& x, const tensor::Tensor& norm) {
    return ops::norm_modulate(tape, x, norm, tensor::Tensor(), 0,
                              static_cast<float>(config_.rms_norm_eps));
  };
  const tensor::Tensor parts[] = {states, inputs};
  const tensor::Tensor first = ops::linear(tape, ops::concat_cols(tape, parts), network_.ahead.out);
  const tensor::Tensor query[] = {
      ops::linear(tape, normed(first, network_.ahead.attention_norm), network_.ahead.query),
      tensor::Tensor::zeros({first.rows(), 2 * heads().kv_cols()})};
  const tensor::Tensor qkv = ops::concat_cols(tape, query);
  rotate(tape, qkv, ahead_layer(), positions);
  const tensor::Tensor seen = ops::linear(tape, attend(qkv), network_.ahead.attention_out);
  const tensor::Tensor second = ops::add_gated(tape, first, seen, tensor::Tensor(), 0);
  const tensor::Tensor gate_up =
      ops::linear(tape, normed(second, network_.ahead.feed_forward_norm), network_.ahead.gate_up);
  const tensor::Tensor fed = ops::linear(
      tape, ops::activate_gated(tape, gate_up, ops::Activation::kSilu), network_.ahead.down);
  return normed(ops::add_gated(tape, second, fed, tensor::Tensor(), 0), network_.ahead.norm);
}

tensor::Tensor Model::ahead_field(tensor::Tape& tape, const AheadInput& input) const {
  EVO_CHECK(config_.ahead_size > 0);
  const tensor::Tensor inputs = draft_inputs(tape, input.h, input.previous);
  const tensor::Tensor states =
      ops::gated_scan(tape, ops::linear(tape, inputs, network_.ahead.in), input.starts);
  return ahead_output(tape, inputs, states, input.positions, [&](const tensor::Tensor& qkv) {
    // One call over the mature rows, whose own results nobody needs, and those that ask.
    std::vector<ops::KeyRange> ranges;
    for (int32_t r = 0; r < input.keys.rows(); ++r) ranges.push_back({r, r + 1, 0, 0});
    ranges.insert(ranges.end(), input.context.begin(), input.context.end());
    const tensor::Tensor all = ops::concat_rows(tape, input.keys, qkv);
    const tensor::Tensor seen = ops::attention(tape, all, heads(), ranges, nullptr);
    return ops::slice_rows(tape, seen, input.keys.rows(), all.rows());
  });
}

tensor::Tensor Model::ahead_step(const tensor::Tensor& h, std::span<const int32_t> previous,
                                 std::span<const int32_t> positions,
                                 std::span<const KvCache* const> caches,
                                 const tensor::Tensor& states) const {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor inputs = draft_inputs(tape, h, previous);
  const tensor::Tensor gates = ops::linear(tape, inputs, network_.ahead.in);
  for (int64_t r = 0; r < states.rows(); ++r) {
    ops::gated_step({gates.row(r), static_cast<size_t>(gates.cols())},
                    {states.row(r), static_cast<size_t>(states.cols())});
  }
  return ahead_output(tape, inputs, states, positions, [&](const tensor::Tensor& qkv) {
    std::vector<ops::KeyRange> ranges;
    std::vector<int32_t> sequences;
    std::vector<ops::CachedKeys> texts;
    for (const KvCache* cache : caches) {
      sequences.push_back(static_cast<int32_t>(texts.size()));
      texts.push_back(cache->view(ahead_layer()));
      ranges.push_back({0, static_cast<int32_t>(texts.back().length), 0, 0});
    }
    return ops::cached_attention(tape, qkv, heads(), ranges, sequences, texts);
  });
}

}  // namespace evo::model
