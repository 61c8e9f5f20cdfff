// The shape of a model, its presets and what they cost.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "json/record.h"
#include "model/block_config.h"
#include "ops/rope_scaling.h"

namespace evo::model {

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
  bool qkv_bias = false;
  int64_t sliding_window = 0;
  int64_t max_window_layers = 0;

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
    v("qkv_bias", qkv_bias, "queries, keys and values have a bias");
    v("sliding_window", sliding_window, "tokens that a token sees, itself included; 0: all");
    v("max_window_layers", max_window_layers, "so many first layers see all tokens");
  }
};

/// The "evo" object of config.json: what only evolving tokens use.
struct FlowConfig {
  bool flow = true;
  int64_t code_size = 16;
  int64_t time_features = 16;
  int64_t inner_size = 128;
  int64_t ahead_size = 0;
  int64_t window_places = 0;
  int64_t adapter_rank = 0;

  [[nodiscard]] bool drafts_ahead() const { return flow && ahead_size > 0; }
  /// Width of the recurrence of the field ahead.
  [[nodiscard]] int64_t ahead_states() const { return ahead_size / 4; }

  template <class V>
  void visit(V& v) {
    v("flow", flow, "has the evolving stream; false: an autoregressive model and nothing else");
    v("code_size", code_size, "width of a latent code, d");
    v("time_features", time_features, "features of the progression time, K; even, at least 4");
    v("inner_size", inner_size, "width of the inner field, R");
    v("ahead_size", ahead_size,
      "width of the field that drafts ahead of a mature token, without a window; a multiple of 4; "
      "0: none");
    v("window_places", window_places,
      "learnt places that tell an evolving token how far from its window's start it is; the last "
      "is "
      "also for those behind it; 0: none");
    v("adapter_rank", adapter_rank,
      "rank of what evolving tokens add to the backbone's matrices; 0: nothing");
  }
};

struct ModelConfig : BackboneConfig, BlockConfig, FlowConfig {
  ops::RopeScaling rope_scaling;
  int64_t bos_token_id = -1;           ///< what a text begins with; -1: not said
  std::vector<int64_t> eos_token_ids;  ///< what ends one; empty: not said
  std::string model_type;              ///< as config.json says it; empty: none did
  std::string source;  ///< the config.json that a BlockConfig of its own comes from, as text

  /// Settings that can be chosen for a new model; the others come with a checkpoint.
  template <class V>
  void visit(V& v) {
    BackboneConfig::visit(v);
    FlowConfig::visit(v);
  }

  /// Throws Error for contradictory or impossible settings.
  void validate() const;
  /// Rows of the matrices that make queries, keys (values have as many), and what the activation
  /// of the feed-forward part takes.
  [[nodiscard]] int64_t query_size() const { return num_attention_heads * head_dim; }
  [[nodiscard]] int64_t key_size() const { return num_key_value_heads * head_dim; }
  [[nodiscard]] int64_t gate_up_size() const { return (gated ? 2 : 1) * intermediate_size; }
  [[nodiscard]] LayerConfig layer(int64_t index) const {
    if (!layers.empty()) return layers[index];
    return {.window = index < max_window_layers ? 0 : sliding_window};
  }
  /// Some layer's rows do not see all tokens before them.
  [[nodiscard]] bool has_windows() const;
  /// The architecture that Hugging Face's `transformers` calls so, such as "llama" or
  /// "gemma3_text".
  [[nodiscard]] std::string family() const;
  /// Its settings without BlockConfig say all.
  [[nodiscard]] bool is_plain() const;
  /// What its config.json calls it: what is a Llama, Mistral or Qwen by its settings is one, such
  /// as a Phi-3.
  [[nodiscard]] std::string saved_family() const;

  /// A named shape; throws UsageError listing the names if there is none.
  static ModelConfig preset(const std::string& name);
  static std::vector<std::string> preset_names();

  /// A config.json, ours or Hugging Face's of a family that we know (families/), with its defaults.
  static ModelConfig read(const json::Record& record);
  /// The file, and beside it generation_config.json which, if there, says the special tokens.
  /// `path`: that file, the folder with it, or a GGUF file, whose metadata says the same.
  static ModelConfig load(const std::string& path);
  /// What config.json says. `weights` is the number format of the file of weights, "F32" or
  /// "BF16".
  [[nodiscard]] json::Record record(std::string_view weights = "F32") const;
  void save(const std::string& path, std::string_view weights = "F32") const;
};

/// The token ids under `key`: one or a list of them; none if it is not there or null. Throws Error
/// for other values.
[[nodiscard]] std::vector<int64_t> token_ids(const json::Record& record, const char* key);

}  // namespace evo::model
