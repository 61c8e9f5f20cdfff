#include "decode/gguf_network.h"

#include <cmath>
#include <map>
#include <type_traits>

#include "weights/gguf/architecture.h"

namespace evo::decode {
namespace {

/// What there is beyond a Llama, under the names of config.json.
void set_block_settings(const model::ModelConfig& shape, bool multipliers, json::Record& config) {
  const auto set_if = [&](bool there, const char* key, double value) {
    if (there) config.set(key, value);
  };
  for (int64_t i = 0; i < shape.num_hidden_layers; ++i) {
    const model::LayerConfig layer = shape.layer(i);
    if (layer.window > 0) config.set("sliding_window", layer.window);
    set_if(layer.rotation == model::Rotation::kLocal, "rope_local_base_freq",
           shape.local_rope_theta);
  }
  set_if(shape.score_cap > 0, "attn_logit_softcapping", shape.score_cap);
  set_if(shape.logit_cap > 0, "final_logit_softcapping", shape.logit_cap);
  set_if(multipliers, "embedding_multiplier", shape.embedding_scale);
  set_if(multipliers, "residual_multiplier", shape.residual_scale);
  set_if(multipliers, "attention_multiplier", shape.score_scale);
  set_if(multipliers, "logits_scaling", 1 / shape.logit_scale);
  if (shape.experts.count == 0) return;
  config.set("num_experts", shape.experts.count);
  config.set("num_experts_per_tok", shape.experts.per_token);
  config.set("moe_intermediate_size", shape.experts.size);
}

/// A network in numbers, by what messages call them.
using Facts = std::map<std::string, double>;

/// Visits settings and keeps those that are numbers.
struct FactCollector {
  Facts& facts;
  std::string prefix = {};

  template <class Value>
  void operator()(const char* name, Value& value, const char* /*help*/) {
    if constexpr (std::is_arithmetic_v<Value>) facts[prefix + name] = static_cast<double>(value);
  }
};

void add_rope(ops::RopeScaling scaling, const std::string& prefix, Facts& facts) {
  if (scaling.is_default()) return;
  facts[fmt::format("{} type {}", prefix, scaling.rope_type)] = 1;
  FactCollector collector{facts, prefix + " "};
  if (scaling.rope_type != "linear") return scaling.visit(collector);
  facts[prefix + " factor"] = scaling.factor;
}

Facts facts_of(model::ModelConfig shape) {
  const double head = std::sqrt(static_cast<double>(shape.head_dim));
  Facts facts = {
      {"activation", static_cast<double>(shape.activation)},
      {"embedding_scale", shape.embedding_scale},
      {"residual_scale", shape.residual_scale},
      {"logit_scale", shape.logit_scale},
      {"score_scale", shape.score_scale > 0 ? shape.score_scale : 1 / head},
      {"score_cap", shape.score_cap},
      {"logit_cap", shape.logit_cap},
      {"biases of outputs", shape.attention_out_bias ? 1 : 0},
      {"biases of feed-forward parts", shape.feed_forward_bias ? 1 : 0},
      {"rotary_size",
       static_cast<double>(shape.rotary_size > 0 ? shape.rotary_size : shape.head_dim)},
      {"num_experts", static_cast<double>(shape.experts.count)},
      {"num_experts_per_tok", static_cast<double>(shape.experts.per_token)},
      {"size of an expert", static_cast<double>(shape.experts.size)},
      {"norm_topk_prob", shape.experts.normalized ? 1 : 0},
  };
  FactCollector collector{facts};
  static_cast<model::BackboneConfig&>(shape).visit(collector);
  for (const char* of_layers : {"sliding_window", "max_window_layers"}) facts.erase(of_layers);
  for (int64_t i = 0; i < shape.num_hidden_layers; ++i) {
    const model::LayerConfig layer = shape.layer(i);
    facts[fmt::format("window of layer {}", i)] = static_cast<double>(layer.window);
    facts[fmt::format("rotation of layer {}", i)] = static_cast<double>(layer.rotation);
    facts[fmt::format("experts in layer {}", i)] = layer.sparse ? 1 : 0;
    if (layer.rotation != model::Rotation::kLocal) continue;
    facts["rope_theta of local layers"] = shape.local_rope_theta;
    add_rope(shape.local_rope_scaling, "rope_scaling of local layers", facts);
  }
  add_rope(shape.rope_scaling, "rope_scaling", facts);
  return facts;
}

}  // namespace

json::Record whole_config(const model::ModelConfig& shape, const std::string& name) {
  const std::string family = shape.saved_family();
  model::ModelConfig backbone = shape;
  static_cast<model::BlockConfig&>(backbone) = {};
  if (!backbone.is_plain()) {
    fail(
        "{}: this {} cannot be a GGUF file of evo's: expected rope_scaling other than longrope, "
        "and "
        "no biases beside norms of queries and keys",
        name, family);
  }
  json::Record config = backbone.record();
  config.set_source(name);
  config.set("model_type", family);
  const weights::GgufArchitecture* const architecture = weights::gguf_architecture_of(family);
  const bool multipliers = architecture != nullptr && architecture->multipliers;
  if (!shape.is_plain()) set_block_settings(shape, multipliers, config);
  return config;
}

void require_same_network(const model::ModelConfig& meant, const model::ModelConfig& saved,
                          const std::string& name) {
  constexpr double kOfF32 = 1e-6;  // as GGUF keeps numbers
  const Facts ours = facts_of(meant), theirs = facts_of(saved);
  const auto value_in = [](const Facts& facts, const std::string& key) {
    const auto found = facts.find(key);
    return found == facts.end() ? 0 : found->second;
  };
  Facts all = ours;
  all.insert(theirs.begin(), theirs.end());
  for (const auto& [key, unused] : all) {
    const double a = value_in(ours, key), b = value_in(theirs, key);
    if (std::abs(a - b) <= kOfF32 * std::abs(a)) continue;
    fail("{}: {} is {:.7g}, but in a GGUF file of a {} it can only be {:.7g}", name, key, a,
         meant.family(), b);
  }
}

}  // namespace evo::decode
