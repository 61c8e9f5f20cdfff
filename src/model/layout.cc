#include "model/layout.h"

#include <utility>

namespace evo::model {
namespace {

/// Declares weights whose names begin alike and which passes come to at the same time.
class Declarer {
 public:
  Declarer(const std::function<void(const Declaration&)>& declare, std::string prefix,
           int64_t first_use)
      : declare_(declare), prefix_(std::move(prefix)), first_use_(first_use) {}

  template <class Holder>
  void matrix(Holder& holder, NetworkPart part, Initialization start,
              std::vector<Declaration::Array> arrays, int64_t cols) const {
    for (Declaration::Array& array : arrays) array.name.insert(0, prefix_);
    declare_({&holder, std::move(arrays), cols, part, start, first_use_});
  }

  void vector(tensor::Tensor& holder, NetworkPart part, Initialization start,
              std::vector<Declaration::Array> arrays) const {
    matrix(holder, part, start, std::move(arrays), 0);
  }

  /// A matrix [out, in] of the backbone gets up [out, r] down [r, in], for evolving rows alone.
  void adapter(Adapter& holder, const std::string& name, int64_t out, int64_t in,
               int64_t rank) const {
    matrix(holder.down, NetworkPart::kAdapters, Initialization::kNormal,
           {{name + ".down.weight", rank}}, in);
    matrix(holder.up, NetworkPart::kAdapters, Initialization::kZeros, {{name + ".up.weight", out}},
           rank);
  }

 private:
  const std::function<void(const Declaration&)>& declare_;
  std::string prefix_;
  int64_t first_use_;
};

using enum NetworkPart;
using enum Initialization;

/// A norm called `name`, with a bias if the model's are LayerNorm.
void declare_norm(const ModelConfig& c, Norm& norm, const std::string& name, const Declarer& to) {
  to.vector(norm.weight, kNorms, kOnes, {{name + ".weight", c.hidden_size}});
  if (c.layer_norm) to.vector(norm.bias, kNorms, kZeros, {{name + ".bias", c.hidden_size}});
}

void declare_attention(const ModelConfig& c, Layer& layer, const Declarer& to) {
  const int64_t d = c.hidden_size, q = c.query_size(), kv = c.key_size();
  to.matrix(layer.qkv, kAttention, kNormal,
            {{"self_attn.q_proj.weight", q},
             {"self_attn.k_proj.weight", kv},
             {"self_attn.v_proj.weight", kv}},
            d);
  if (c.qkv_bias) {
    to.vector(layer.qkv_bias, kBiases, kZeros,
              {{"self_attn.q_proj.bias", q},
               {"self_attn.k_proj.bias", kv},
               {"self_attn.v_proj.bias", kv}});
  }
  to.matrix(layer.attention_out, kAttention, kResidual, {{"self_attn.o_proj.weight", d}}, q);
  if (c.attention_out_bias) {
    to.vector(layer.attention_out_bias, kBiases, kZeros, {{"self_attn.o_proj.bias", d}});
  }
  if (!c.qk_norm) return;
  to.vector(layer.query_norm, kNorms, kOnes,
            {{"self_attn.q_norm.weight", c.qk_norm_together ? q : c.head_dim}});
  to.vector(layer.key_norm, kNorms, kOnes,
            {{"self_attn.k_norm.weight", c.qk_norm_together ? kv : c.head_dim}});
}

void declare_feed_forward(const ModelConfig& c, Layer& layer, const Declarer& to) {
  const int64_t d = c.hidden_size, f = c.intermediate_size;
  const auto inputs = [&](const char* kind) {
    std::vector<Declaration::Array> arrays;
    if (c.gated) arrays.push_back({fmt::format("mlp.gate_proj.{}", kind), f});
    arrays.push_back({fmt::format("mlp.up_proj.{}", kind), f});
    return arrays;
  };
  to.matrix(layer.gate_up, kFeedForward, kNormal, inputs("weight"), d);
  if (c.feed_forward_bias) to.vector(layer.gate_up_bias, kBiases, kZeros, inputs("bias"));
  to.matrix(layer.down, kFeedForward, kResidual, {{"mlp.down_proj.weight", d}}, f);
  if (c.feed_forward_bias) {
    to.vector(layer.down_bias, kBiases, kZeros, {{"mlp.down_proj.bias", d}});
  }
}

void declare_experts(const ModelConfig& c, Layer& layer, const Declarer& to) {
  const int64_t d = c.hidden_size, f = c.experts.size;
  to.matrix(layer.router, kRouter, kNormal, {{"mlp.gate.weight", c.experts.count}}, d);
  layer.experts.resize(c.experts.count);
  for (int64_t i = 0; i < c.experts.count; ++i) {
    Expert& expert = layer.experts[i];
    const std::string name = fmt::format("mlp.experts.{}.", i);
    to.matrix(expert.gate_up, kExperts, kNormal,
              {{name + "gate_proj.weight", f}, {name + "up_proj.weight", f}}, d);
    to.matrix(expert.down, kExperts, kResidual, {{name + "down_proj.weight", d}}, f);
  }
}

/// The names of norms are those of Llama, and of OLMo 2 and Gemma where outputs are normed.
void declare_layer(const ModelConfig& c, int64_t index, Layer& layer, const Declarer& to) {
  if (c.norms_inputs) declare_norm(c, layer.attention_norm, "input_layernorm", to);
  declare_attention(c, layer, to);
  if (c.norms_outputs) declare_norm(c, layer.attention_out_norm, "post_attention_layernorm", to);
  if (c.norms_inputs) {
    declare_norm(c, layer.feed_forward_norm,
                 c.norms_outputs ? "pre_feedforward_layernorm" : "post_attention_layernorm", to);
  }
  if (c.layer(index).sparse) {
    declare_experts(c, layer, to);
  } else {
    declare_feed_forward(c, layer, to);
  }
  if (c.norms_outputs) {
    declare_norm(c, layer.feed_forward_out_norm, "post_feedforward_layernorm", to);
  }
}

/// What evolving rows have of their own in a layer.
void declare_flow_layer(const ModelConfig& c, Layer& layer, const Declarer& to) {
  const int64_t d = c.hidden_size, f = c.intermediate_size, q = c.query_size();
  to.matrix(layer.modulation, kModulation, kZeros, {{"modulation.weight", 4 * d}}, c.time_features);
  if (c.adapter_rank == 0) return;
  to.adapter(layer.qkv_adapter, "adapters.qkv", q + 2 * c.key_size(), d, c.adapter_rank);
  to.adapter(layer.attention_out_adapter, "adapters.attention_out", d, q, c.adapter_rank);
  to.adapter(layer.gate_up_adapter, "adapters.gate_up", c.gate_up_size(), d, c.adapter_rank);
  to.adapter(layer.down_adapter, "adapters.down", d, f, c.adapter_rank);
}

void declare_drafts(const ModelConfig& c, Network& n, const Declarer& to) {
  const int64_t d = c.hidden_size, q = c.query_size();
  const int64_t states = c.ahead_states();
  to.matrix(n.inner.in, kInnerField, kNormal, {{"inner.in.weight", 2 * c.inner_size}}, 2 * d);
  to.matrix(n.inner.out, kInnerField, kZeros, {{"inner.out.weight", d}}, c.inner_size);
  to.vector(n.maturity, kMaturity, kZeros, {{"maturity.weight", d + 3}});
  if (c.ahead_size == 0) return;
  AheadField& a = n.ahead;
  to.matrix(a.in, kInnerField, kNormal, {{"ahead.in.weight", 2 * states}}, 2 * d);
  to.matrix(a.out, kInnerField, kNormal, {{"ahead.out.weight", d}}, states + 2 * d);
  to.vector(a.attention_norm, kInnerField, kOnes, {{"ahead.attention_norm.weight", d}});
  to.matrix(a.query, kInnerField, kNormal, {{"ahead.query.weight", q}}, d);
  to.matrix(a.attention_out, kInnerField, kZeros, {{"ahead.attention_out.weight", d}}, q);
  to.vector(a.feed_forward_norm, kInnerField, kOnes, {{"ahead.feed_forward_norm.weight", d}});
  to.matrix(a.gate_up, kInnerField, kNormal, {{"ahead.gate_up.weight", 2 * c.ahead_size}}, d);
  to.matrix(a.down, kInnerField, kZeros, {{"ahead.down.weight", d}}, c.ahead_size);
  to.vector(a.norm, kInnerField, kOnes, {{"ahead.norm.weight", d}});
  to.vector(n.ahead_maturity, kMaturity, kZeros, {{"ahead.maturity.weight", d + 3}});
}

}  // namespace

void declare_network(const ModelConfig& c, Network& n,
                     const std::function<void(const Declaration&)>& declare) {
  const int64_t d = c.hidden_size, layers = c.num_hidden_layers;
  n.layers.resize(layers);
  const auto layer = [&](int64_t i) -> Layer& { return n.layers[i]; };
  const auto to = [&](std::string prefix, int64_t first_use) {
    return Declarer(declare, std::move(prefix), first_use);
  };

  to("model.", 0)
      .matrix(n.embedding, kEmbedding, kNormal, {{"embed_tokens.weight", c.vocab_size}}, d);
  if (c.learned_positions) {
    to("model.", 0)
        .matrix(n.positions, kEmbedding, kNormal,
                {{"embed_positions.weight", c.max_position_embeddings}}, d);
  }
  for (int64_t i = 0; i < layers; ++i) {
    declare_layer(c, i, layer(i), to(fmt::format("model.layers.{}.", i), i + 1));
  }
  declare_norm(c, n.final_norm, "norm", to("model.", layers + 1));
  if (!c.tie_word_embeddings) {
    to("", layers + 1)
        .matrix(static_cast<ops::Weight&>(n.unembedding), kEmbedding, kNormal,
                {{"lm_head.weight", c.vocab_size}}, d);
  }
  if (!c.flow) return;
  const Declarer flow = to("evo.", 0);
  flow.matrix(n.codes, kCodes, kUnit, {{"codes", c.vocab_size}}, c.code_size);
  flow.matrix(n.evolve_in, kEvolveIn, kNormal, {{"evolve_in.weight", d}},
              2 * c.code_size + c.time_features);
  if (c.window_places > 0) {
    flow.matrix(n.places, kPlaces, kZeros, {{"places.weight", c.window_places}}, d);
  }
  for (int64_t i = 0; i < layers; ++i) {
    declare_flow_layer(c, layer(i), to(fmt::format("evo.layers.{}.", i), i + 1));
  }
  declare_drafts(c, n, to("evo.", layers + 1));
}

void declare_parameters(const ModelConfig& config, ParameterStore& parameters) {
  Network network;
  declare_network(config, network, [&](const Declaration& weight) {
    for (const Declaration::Array& array : weight.arrays) {
      std::vector<int64_t> shape = {array.rows};
      if (weight.cols > 0) shape.push_back(weight.cols);
      parameters.declare({.name = array.name,
                          .shape = std::move(shape),
                          .first_use = weight.first_use,
                          .part = weight.part,
                          .start = weight.start});
    }
  });
}

PartCounts count_parts(const ModelConfig& config) {
  ParameterStore store;
  declare_parameters(config, store);
  PartCounts counts = {};
  for (const Parameter& p : store.list()) counts[static_cast<size_t>(p.part)] += p.numel();
  return counts;
}

ModelCost model_cost(const ModelConfig& c, int64_t context) {
  const PartCounts counts = count_parts(c);
  const auto count = [&](auto... parts) { return (counts[static_cast<size_t>(parts)] + ...); };
  // Of a sparse layer a token passes the router and its own experts.
  const int64_t experts = c.experts.count == 0 ? 0 : count(kExperts) / c.experts.count;
  const int64_t layers = count(kAttention, kFeedForward, kRouter) + experts * c.experts.per_token;
  const int64_t table = c.vocab_size * c.hidden_size;
  const int64_t inner = count(kInnerField);

  ModelCost cost;
  cost.backbone_parameters =
      count(kAttention, kFeedForward, kRouter, kExperts, kNorms, kBiases, kEmbedding);
  cost.flow_parameters =
      count(kCodes, kEvolveIn, kPlaces, kModulation, kAdapters, kInnerField, kMaturity);
  const double products = 2.0 * static_cast<double>(layers + table);
  const double per_key = 4.0 * static_cast<double>(c.num_hidden_layers * c.query_size());
  cost.decode_flops_per_token = products + per_key * static_cast<double>(context);
  // In training a token sees half of the sequence on average.
  const double stream = products + per_key * static_cast<double>(context) / 2;
  cost.training_flops_per_token = 3 * stream;
  if (!c.flow) return cost;
  // Posterior term and mean code: two products with the code table.
  const double codes = 4.0 * static_cast<double>(c.vocab_size * c.code_size);
  const double evolving =
      stream + 2.0 * static_cast<double>(count(kModulation, kEvolveIn, kAdapters)) + codes;
  // The inner field trains on detached states: its own matrices forward and backward, the head's
  // logits and the gradient of its input, and no gradient of the head.
  const double draft_heads = (c.ahead_size > 0 ? 8.0 : 4.0) * static_cast<double>(table);
  const double inner_field = 6.0 * static_cast<double>(inner) + draft_heads + codes;
  cost.training_flops_per_token += 3 * evolving + inner_field;
  cost.first_pass_flops_per_token = stream + evolving - 2.0 * static_cast<double>(table);
  return cost;
}

}  // namespace evo::model
