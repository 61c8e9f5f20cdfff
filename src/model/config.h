// The shape of a model, its presets and what they cost.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace evo {

/// Settings are declared once: files, flags and help all come from visit(). The backbone's have
/// Hugging Face's names and meanings.
struct BackboneConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 128;
  int64_t intermediate_size = 352;
  int64_t num_hidden_layers = 4;
  int64_t num_attention_heads = 4;
  int64_t num_key_value_heads = 4;
  int64_t head_dim = 32;
  int64_t max_position_embeddings = 1024;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000;
  bool tie_word_embeddings = true;
  bool qk_norm = false;

  template <class V>
  void visit(V& v) {
    v("vocab_size", vocab_size, "tokens in the vocabulary, V; a tokenizer is trained to this size");
    v("hidden_size", hidden_size, "width of the model, D");
    v("intermediate_size", intermediate_size, "width of the feed-forward layer, F");
    v("num_hidden_layers", num_hidden_layers, "layers");
    v("num_attention_heads", num_attention_heads, "query heads, H");
    v("num_key_value_heads", num_key_value_heads, "key and value heads, G; divides H");
    v("head_dim", head_dim, "size of a head, e; even");
    v("max_position_embeddings", max_position_embeddings, "longest context in tokens");
    v("rms_norm_eps", rms_norm_eps, "epsilon of every RMSNorm");
    v("rope_theta", rope_theta, "base of the rotary embedding");
    v("tie_word_embeddings", tie_word_embeddings, "the head is the embedding");
    v("qk_norm", qk_norm, "RMSNorm on queries and keys, per head");
  }
};

/// The "evo" object of config.json: what only evolving tokens use.
struct FlowConfig {
  bool flow = true;
  int64_t code_size = 16;
  int64_t time_features = 16;
  int64_t inner_size = 128;

  template <class V>
  void visit(V& v) {
    v("flow", flow, "has the evolving stream; false: an autoregressive model and nothing else");
    v("code_size", code_size, "width of a latent code, d");
    v("time_features", time_features, "features of the progression time, K; even, at least 4");
    v("inner_size", inner_size, "width of the inner field, R");
  }
};

struct ModelConfig : BackboneConfig, FlowConfig {
  template <class V>
  void visit(V& v) {
    BackboneConfig::visit(v);
    FlowConfig::visit(v);
  }

  /// Throws Error for contradictory or impossible settings.
  void validate() const;

  /// A named shape; throws UsageError listing the names if there is none.
  static ModelConfig preset(const std::string& name);
  static std::vector<std::string> preset_names();

  static ModelConfig load(const std::string& path);  ///< config.json
  void save(const std::string& path) const;
};

/// What a model of this shape needs; a multiplication and an addition count as two FLOPs.
struct ModelCost {
  int64_t backbone_parameters = 0;
  int64_t flow_parameters = 0;  ///< everything that only evolving tokens use
  [[nodiscard]] int64_t parameters() const { return backbone_parameters + flow_parameters; }
  double decode_flops_per_token = 0;    ///< one mature token with `context` keys
  double training_flops_per_token = 0;  ///< both streams, forward and backward, at length `context`
  double first_pass_flops_per_token = 0;  ///< the extra forward pass of self-conditioning
  double kv_cache_bytes_per_token = 0;    ///< f32
};
[[nodiscard]] ModelCost model_cost(const ModelConfig& config, int64_t context);

}  // namespace evo
