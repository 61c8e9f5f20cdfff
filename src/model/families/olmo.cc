// OLMo 2 and 3, whose branches are normed behind and not before, and OLMoE, a mixture of experts.
// All norm the queries of a row together, and its keys.
#include "model/families/family.h"
#include "model/families/reading.h"

namespace evo::model::families {
namespace {

void read_normed_behind(const json::Record& record, ModelConfig& config) {
  config.qk_norm = config.qk_norm_together = true;
  config.norms_inputs = false;
  config.norms_outputs = true;
  read_backbone(record, {.norm_eps = 1e-5}, config);
  refuse_if_true(record, "mlp_bias");
  read_biases(record, config);
}

void read_olmo2(const json::Record& record, ModelConfig& config) {
  read_normed_behind(record, config);
  read_rope(record, {}, config);
}

void read_olmo3(const json::Record& record, ModelConfig& config) {
  read_normed_behind(record, config);
  // "rope_theta" is of layers without a window: to `transformers`, too.
  read_ropes_by_layer(record, 500000, 500000, nullptr, config);
  std::vector<bool> slides = read_layer_types(record, config.num_hidden_layers);
  if (slides.empty()) slides = all_but_every(4, config.num_hidden_layers);
  set_windows(slides, value_or<int64_t>(record, "sliding_window", 4096), config);
  set_local_rotations(slides, config);
}

void read_olmoe(const json::Record& record, ModelConfig& config) {
  config.qk_norm = config.qk_norm_together = true;
  read_backbone(record, {.max_positions = 4096, .norm_eps = 1e-5}, config);
  read_biases(record, config);
  read_rope(record, {}, config);
  if (given(record, "clip_qkv")) refuse(record, "clip_qkv", "set", "null");
  config.experts = {.count = value_or<int64_t>(record, "num_experts", 64),
                    .per_token = value_or<int64_t>(record, "num_experts_per_tok", 8),
                    .size = config.intermediate_size,
                    .normalized = value_or(record, "norm_topk_prob", false)};
  config.layers.assign(config.num_hidden_layers, {.sparse = true});
}

}  // namespace

extern const Family kOlmo2 = {"olmo2", "Olmo2ForCausalLM", read_olmo2};
extern const Family kOlmo3 = {"olmo3", "Olmo3ForCausalLM", read_olmo3};
extern const Family kOlmoe = {"olmoe", "OlmoeForCausalLM", read_olmoe};

}  // namespace evo::model::families
