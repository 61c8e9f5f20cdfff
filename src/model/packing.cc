// Weights as decoding reads them.
#include "model/model.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace evo::model {
namespace {

// The field ahead may draft the likeliest tokens that make up this share of text, but only so many
// per column of h that unembedding takes a third of a step: rarer tokens slow drafts more than they
// are worth (7m: 1.74 times ar with 0.86 of text, 1.60 with 0.995).
constexpr double kAheadCoverage = 0.995;
constexpr int64_t kAheadTokensPerColumn = 4;

/// The fewest tokens that make up a share of text, but no more than `most`, in their order.
std::vector<int32_t> likeliest_tokens(std::span<const float> unigram, double share, size_t most) {
  std::vector<int32_t> tokens(unigram.size());
  std::iota(tokens.begin(), tokens.end(), 0);
  std::ranges::stable_sort(tokens, std::greater(), [&](int32_t v) { return unigram[v]; });
  double covered = 0;
  size_t count = 0;
  while (count < std::min(most, tokens.size()) && covered < share) {
    covered += unigram[tokens[count++]];
  }
  tokens.resize(count);
  std::ranges::sort(tokens);
  return tokens;
}

}  // namespace

std::vector<Model::PackedUnit> Model::units() {
  std::vector<PackedUnit> all;
  std::span<const Parameter> rest = parameters_.list();
  declare_network(config_, network_, [&](const Declaration& declared) {
    const auto* const weight = std::get_if<ops::Weight*>(&declared.holder);
    const size_t arrays = declared.arrays.size(), together = weight ? arrays : 1;
    for (size_t i = 0; i < arrays; i += together) {
      all.push_back({rest.first(together), weight ? *weight : nullptr});
      rest = rest.subspan(together);
    }
  });
  return all;
}

void Model::pack(tensor::Precision precision) {
  precision_ = precision;
  for (const PackedUnit& unit : units()) {
    if (unit.weight != nullptr) pack(*unit.weight, precision);
  }
}

void Model::pack(ops::Weight& w, tensor::Precision precision) {
  set_packed(w, ops::pack_weight(w.value.f32(), w.value.rows(), w.value.cols(),
                                 packed_precision(w, precision)));
  if (unembeds_ahead(w)) pack_ahead_unembedding();
}

void Model::pack(ops::Weight& w, const tensor::Tensor& bits, tensor::Precision precision) {
  set_packed(w, ops::pack_bf16_weight(bits.bf16(), bits.rows(), bits.cols(),
                                      packed_precision(w, precision)));
}

/// Drafts may be coarse. The tables of tokens may not: 4 bits of them would lose as much as those
/// of all layers do.
tensor::Precision Model::packed_precision(const ops::Weight& weight,
                                          tensor::Precision precision) const {
  if (is_ahead(weight)) return tensor::Precision::kInt8;
  const bool is_table = &weight == &network_.embedding || &weight == &network_.unembedding;
  return is_table && precision == tensor::Precision::kQ4 ? tensor::Precision::kQ8 : precision;
}

void Model::pack_ahead_unembedding() {
  const int64_t width = config_.hidden_size;
  ahead_tokens_ = likeliest_tokens(unigram_, kAheadCoverage,
                                   static_cast<size_t>(kAheadTokensPerColumn * width));
  const int64_t count = std::ssize(ahead_tokens_);
  const tensor::Tensor rows = tensor::Tensor::empty({count, width});
  for (int64_t i = 0; i < count; ++i) {
    std::copy_n(network_.unembedding.value.row(ahead_tokens_[i]), width, rows.row(i));
  }
  // Of the values of what is packed only their shape is used.
  ahead_unembedding_ = {{tensor::Tensor::view(network_.unembedding.value.f32(), {count, width}),
                         ops::pack_weight(rows.f32(), count, width, tensor::Precision::kInt8)},
                        network_.unembedding.cap};
}

void Model::set_packed(ops::Weight& w, std::shared_ptr<const ops::PackedWeight> packed) {
  w.packed = std::move(packed);
  if (&w == &network_.embedding && config_.tie_word_embeddings)
    network_.unembedding.packed = w.packed;
}

bool Model::unembeds_ahead(const ops::Weight& w) const {
  return config_.drafts_ahead() &&
         &w == (config_.tie_word_embeddings ? &network_.embedding : &network_.unembedding);
}

bool Model::is_ahead(const ops::Weight& w) const {
  const AheadField& a = network_.ahead;
  return std::ranges::count(
             std::array{&a.in, &a.out, &a.query, &a.attention_out, &a.gate_up, &a.down}, &w) > 0;
}

size_t Model::pass_bytes() const {
  EVO_CHECK(network_.unembedding.packed != nullptr);
  size_t bytes = network_.unembedding.packed->bytes();
  for (const Layer& layer : network_.layers) {
    for (const ops::Weight* w :
         {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down, &layer.router}) {
      if (w->packed != nullptr) bytes += w->packed->bytes();
    }
    // Of the experts a token has some; they are alike.
    if (layer.experts.empty()) continue;
    const Expert& expert = layer.experts.front();
    bytes += static_cast<size_t>(config_.experts.per_token) *
             (expert.gate_up.packed->bytes() + expert.down.packed->bytes());
  }
  return bytes;
}

}  // namespace evo::model
