// Mixtral: a Mistral whose feed-forward parts are mixtures of experts.
#include "model/families/family.h"
#include "model/families/reading.h"

namespace evo::model::families {
namespace {

void read_mixtral(const json::Record& record, ModelConfig& config) {
  read_backbone(record,
                {.max_positions = 131072, .kv_heads = 8, .rope_theta = 1000000, .norm_eps = 1e-5},
                config);
  read_rope(record, {}, config);
  config.experts = {.count = value_or<int64_t>(record, "num_local_experts", 8),
                    .per_token = value_or<int64_t>(record, "num_experts_per_tok", 2),
                    .size = config.intermediate_size,
                    .normalized = true};
  const int64_t window = value_or<int64_t>(record, "sliding_window", 0);
  config.layers.assign(config.num_hidden_layers, {.window = window, .sparse = true});
}

/// mlp.gate and mlp.experts.N.{gate,up,down}_proj under other names.
ArrayPlace place_mixtral(const ModelConfig& /*config*/, const Parameter& p) {
  std::string name = p.name;
  const auto rename = [&](std::string_view ours, std::string_view theirs) {
    const size_t at = name.find(ours);
    if (at != std::string::npos) name.replace(at, ours.size(), theirs);
  };
  rename(".mlp.", ".block_sparse_moe.");
  rename(".gate_proj.", ".w1.");
  rename(".down_proj.", ".w2.");
  rename(".up_proj.", ".w3.");
  return {.array = name, .shape = p.shape};
}

}  // namespace

extern const Family kMixtral = {"mixtral", "MixtralForCausalLM", read_mixtral, place_mixtral};

}  // namespace evo::model::families
