// Qwen2, with biases of q, k and v; Qwen3, with a norm of queries and keys; and Qwen3's mixtures of
// experts.
#include <algorithm>

#include "model/families/family.h"
#include "model/families/reading.h"

namespace evo::model::families {
namespace {

/// "use_sliding_window" gives one to the layers from "max_window_layers" on, or those that
/// "layer_types" names.
void read_window(const json::Record& record, ModelConfig& config) {
  if (!value_or(record, "use_sliding_window", false)) return;
  if (record.has("sliding_window") && record.is_null("sliding_window")) return;
  const int64_t window = value_or<int64_t>(record, "sliding_window", 4096);
  const int64_t layers = config.num_hidden_layers;
  const std::vector<bool> slides = read_layer_types(record, layers);
  const auto first = std::ranges::find(slides, true);
  if (std::find(first, slides.end(), false) != slides.end()) {
    set_windows(slides, window, config);
    return;
  }
  const int64_t full =
      slides.empty() ? value_or<int64_t>(record, "max_window_layers", 28) : first - slides.begin();
  if (full >= layers) return;
  config.sliding_window = window;
  config.max_window_layers = full;
}

void read_qwen2(const json::Record& record, ModelConfig& config) {
  config.qkv_bias = true;
  read_backbone(record, {.max_positions = 32768, .kv_heads = 32}, config);
  refuse_if_true(record, "attention_bias");
  refuse_if_true(record, "mlp_bias");
  read_rope(record, {}, config);
  read_window(record, config);
}

void read_qwen3(const json::Record& record, ModelConfig& config) {
  config.qk_norm = true;
  read_backbone(record, {.max_positions = 32768, .kv_heads = 32, .head_dim = 128}, config);
  refuse_if_true(record, "mlp_bias");
  read_biases(record, config);
  read_rope(record, {}, config);
  read_window(record, config);
}

/// Every "decoder_sparse_step"-th layer is sparse, but for "mlp_only_layers".
void read_qwen3_moe(const json::Record& record, ModelConfig& config) {
  config.qk_norm = true;
  read_backbone(record, {.max_positions = 32768, .kv_heads = 4}, config);
  read_biases(record, config);
  read_rope(record, {}, config);
  if (value_or(record, "use_sliding_window", false)) {
    config.sliding_window = value_or<int64_t>(record, "sliding_window", 4096);
  }
  config.experts = {.count = value_or<int64_t>(record, "num_experts",
                                               value_or<int64_t>(record, "num_local_experts", 128)),
                    .per_token = value_or<int64_t>(record, "num_experts_per_tok", 8),
                    .size = value_or<int64_t>(record, "moe_intermediate_size", 768),
                    .normalized = value_or(record, "norm_topk_prob", false)};
  const int64_t step = value_or<int64_t>(record, "decoder_sparse_step", 1);
  const auto dense = value_or<std::vector<int64_t>>(record, "mlp_only_layers", {});
  if (step < 1) refuse(record, "decoder_sparse_step", fmt::format("{}", step), "1 or more");
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const bool sparse = (i + 1) % step == 0 && std::ranges::count(dense, i) == 0;
    config.layers.push_back({.window = config.sliding_window, .sparse = sparse});
  }
}

}  // namespace

extern const Family kQwen2 = {"qwen2", "Qwen2ForCausalLM", read_qwen2};
extern const Family kQwen3 = {"qwen3", "Qwen3ForCausalLM", read_qwen3};
extern const Family kQwen3Moe = {"qwen3_moe", "Qwen3MoeForCausalLM", read_qwen3_moe};

}  // namespace evo::model::families
