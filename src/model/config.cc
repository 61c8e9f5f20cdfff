#include "model/config.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/checked.h"
#include "base/closest.h"
#include "base/error.h"

namespace evo::model {
namespace {

struct Shape {
  int64_t vocabulary, hidden, layers, heads, kv_heads, feed_forward, context;
  double theta;
  bool tied;
};

const std::map<std::string, Shape>& shapes() {
  static const std::map<std::string, Shape> table = {
      {"demo", {1024, 128, 4, 4, 4, 352, 512, 1e4, true}},
      {"7m", {4096, 256, 7, 4, 4, 704, 1024, 1e4, true}},
      {"15m", {32000, 288, 6, 6, 6, 768, 1024, 1e4, true}},  // llama2.c's stories15M
      {"30m", {8192, 512, 8, 8, 8, 1408, 1024, 1e4, true}},
      {"110m", {32000, 768, 12, 12, 12, 2048, 1024, 1e4, true}},  // llama2.c's stories110M
      {"124m", {50304, 768, 12, 12, 12, 2048, 1024, 1e4, true}},
      {"1b", {32000, 2048, 22, 32, 4, 5632, 2048, 1e4, false}},
      {"8b", {128256, 4096, 32, 32, 8, 14336, 8192, 5e5, false}},  // Llama-3-8B's
  };
  return table;
}

void require(bool holds, const char* rule) {
  if (!holds) fail("impossible model: {}. Correct the configuration.", rule);
}

bool is_factor(double value) {
  return value > 0 && value <= 1e6;
}

void validate_blocks(const ModelConfig& c) {
  require(is_factor(c.embedding_scale) && is_factor(c.residual_scale) && is_factor(c.logit_scale),
          "scales must be above 0, at most 10^6");
  require(c.score_scale >= 0 && c.score_scale <= 1e6, "score_scale must be 0 to 10^6");
  require(c.score_cap >= 0 && c.score_cap <= 1e6 && c.logit_cap >= 0 && c.logit_cap <= 1e6,
          "soft caps must be 0 to 10^6");
  require(c.rotary_size >= 0 && c.rotary_size % 2 == 0 && c.rotary_size <= c.head_dim,
          "the rotated part of a head must be even and at most head_dim");
  require(c.layers.empty() || std::cmp_equal(c.layers.size(), c.num_hidden_layers),
          "there must be as many kinds of layers as layers");
  for (const LayerConfig& layer : c.layers) {
    require(layer.window >= 0 && layer.window <= (1 << 24), "sliding_window must be 0 to 2^24");
    require(layer.rotation != Rotation::kLocal ||
                (c.local_rope_theta > 1 && c.local_rope_theta <= 1e30),
            "the local rope_theta must be above 1, at most 10^30");
    require(!layer.sparse || c.experts.count > 0, "a sparse layer needs experts");
  }
  c.local_rope_scaling.validate();
  const int64_t turned = c.rotary_size > 0 ? c.rotary_size : c.head_dim;
  for (const ops::RopeScaling* scaling : {&c.rope_scaling, &c.local_rope_scaling}) {
    require(scaling->rope_type != "longrope" ||
                std::cmp_equal(scaling->short_factor.size(), turned / 2),
            "short_factor must have a number for every two of the rotated part of a head");
  }
  if (c.experts == ExpertConfig()) return;
  require(c.experts.count >= 1 && c.experts.count <= 4096, "experts must be 1 to 4096");
  require(c.experts.per_token >= 1 && c.experts.per_token <= c.experts.count,
          "experts of a token must be 1 to all");
  require(c.num_hidden_layers * c.experts.count <= (1 << 17),
          "layers times experts must be at most 2^17");
  require(c.experts.size >= 1 && c.experts.size <= (1 << 22), "experts' width must be 1 to 2^22");
}

}  // namespace

bool ModelConfig::has_windows() const {
  if (layers.empty()) return sliding_window > 0;
  return std::ranges::any_of(layers, [](const LayerConfig& layer) { return layer.window > 0; });
}

void ModelConfig::validate() const {
  require(vocab_size >= 2 && vocab_size <= (1 << 24), "vocab_size must be 2 to 2^24");
  require(hidden_size >= 1 && hidden_size <= (1 << 20), "hidden_size must be 1 to 2^20");
  require(intermediate_size >= 1 && intermediate_size <= (1 << 22),
          "intermediate_size must be 1 to 2^22");
  require(num_hidden_layers >= 1 && num_hidden_layers <= 4096,
          "num_hidden_layers must be 1 to 4096");
  require(head_dim >= 2 && head_dim % 2 == 0 && head_dim <= 1024,
          "head_dim must be even, 2 to 1024");
  require(num_key_value_heads >= 1 && num_attention_heads >= 1 && num_attention_heads <= 4096 &&
              num_attention_heads % num_key_value_heads == 0,
          "num_key_value_heads must divide num_attention_heads");
  require(max_position_embeddings >= 2 && max_position_embeddings <= (1 << 24),
          "max_position_embeddings must be 2 to 2^24");
  require(rms_norm_eps > 0 && rms_norm_eps < 1, "rms_norm_eps must be between 0 and 1");
  require(rope_theta > 1 && rope_theta <= 1e30, "rope_theta must be above 1, at most 10^30");
  require(sliding_window >= 0 && sliding_window <= (1 << 24), "sliding_window must be 0 to 2^24");
  require(max_window_layers >= 0, "max_window_layers must be at least 0");
  require(sliding_window == 0 || max_window_layers == 0 || qk_norm || qkv_bias,
          "max_window_layers needs qk_norm or qkv_bias: no known family has it otherwise");
  validate_blocks(*this);
  require(code_size >= 2 && code_size <= 1024, "code_size must be 2 to 1024");
  require(time_features >= 4 && time_features % 2 == 0 && time_features <= 1024,
          "time_features must be even, 4 to 1024");
  rope_scaling.validate();
  require(inner_size >= 1 && inner_size <= (1 << 20), "inner_size must be 1 to 2^20");
  require(ahead_size >= 0 && ahead_size % 4 == 0 && ahead_size <= (1 << 20),
          "ahead_size must be a multiple of 4, 0 to 2^20");
  require(window_places >= 0 && window_places <= (1 << 20), "window_places must be 0 to 2^20");
  require(adapter_rank >= 0 && adapter_rank <= (1 << 14), "adapter_rank must be 0 to 2^14");
}

ModelConfig ModelConfig::preset(const std::string& name) {
  const auto found = shapes().find(name);
  if (found == shapes().end()) {
    throw UsageError(fmt::format("unknown preset '{}': expected one of {}{}", name,
                                 fmt::join(preset_names(), ", "),
                                 did_you_mean(name, preset_names())));
  }
  const Shape& shape = found->second;
  ModelConfig config;
  config.vocab_size = shape.vocabulary;
  config.hidden_size = shape.hidden;
  config.intermediate_size = shape.feed_forward;
  config.num_hidden_layers = shape.layers;
  config.num_attention_heads = shape.heads;
  config.num_key_value_heads = shape.kv_heads;
  config.head_dim = shape.hidden / shape.heads;
  config.max_position_embeddings = shape.context;
  config.rope_theta = shape.theta;
  config.tie_word_embeddings = shape.tied;
  config.inner_size = shape.hidden;
  return config;
}

std::vector<std::string> ModelConfig::preset_names() {
  return {"demo", "7m", "15m", "30m", "110m", "124m", "1b", "8b"};
}

bool ModelConfig::is_plain() const {
  return static_cast<const BlockConfig&>(*this) == BlockConfig() &&
         rope_scaling.short_factor.empty() && !(qk_norm && qkv_bias);
}

std::string ModelConfig::family() const {
  return model_type.empty() ? saved_family() : model_type;
}

std::string ModelConfig::saved_family() const {
  if (!is_plain()) return model_type;
  if (qk_norm) return "qwen3";
  if (qkv_bias) return "qwen2";
  return sliding_window > 0 ? "mistral" : "llama";
}

}  // namespace evo::model
