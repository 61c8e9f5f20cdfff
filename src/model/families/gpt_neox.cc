// GPT-NeoX (Pythia): LayerNorm, both branches side by side, a part of a head turned, and q, k and v
// of each head one after the other.
#include <utility>

#include "model/families/family.h"
#include "model/families/reading.h"

namespace evo::model::families {
namespace {

void read_gpt_neox(const json::Record& record, ModelConfig& config) {
  json::Record renamed = record;
  renamed.set("rms_norm_eps", value_or(record, "layer_norm_eps", 1e-5));
  read_backbone(renamed, {.rope_theta = value_or(record, "rotary_emb_base", 10000.0)}, config,
                "hidden_act", "gelu");
  config.num_key_value_heads = config.num_attention_heads;
  config.gated = false;
  config.layer_norm = config.feed_forward_bias = true;
  config.qkv_bias = config.attention_out_bias = value_or(record, "attention_bias", true);
  config.parallel = value_or(record, "use_parallel_residual", true);
  read_rope(record, {.part = value_or(record, "rotary_pct", 0.25), .whole = false}, config);
}

ArrayPlace place_gpt_neox(const ModelConfig& c, const Parameter& p) {
  if (p.name == "lm_head.weight") return {.array = "embed_out.weight", .shape = p.shape};
  std::string name = p.name;
  const auto rename = [&](std::string_view ours, std::string_view theirs) {
    const size_t at = name.find(ours);
    if (at == std::string::npos) return false;
    name.replace(at, ours.size(), theirs);
    return true;
  };
  rename("model.embed_tokens.", "model.embed_in.");
  rename("model.norm.", "model.final_layer_norm.");
  rename("mlp.up_proj.", "mlp.dense_h_to_4h.");
  rename("mlp.down_proj.", "mlp.dense_4h_to_h.");
  rename("self_attn.o_proj.", "attention.dense.");
  ArrayPlace found;
  found.shape = p.shape;
  const int64_t e = c.head_dim;
  for (const auto& [ours, number] :
       {std::pair{"self_attn.q_proj.", 0}, {"self_attn.k_proj.", 1}, {"self_attn.v_proj.", 2}}) {
    if (!rename(ours, "attention.query_key_value.")) continue;
    found.shape[0] *= 3;
    found.first_row = number * e;
    found.group_rows = e;
    found.group_stride = 3 * e;
  }
  rename("model.", "gpt_neox.");
  found.array = name;
  return found;
}

}  // namespace

extern const Family kGptNeox = {"gpt_neox", "GPTNeoXForCausalLM", read_gpt_neox, place_gpt_neox,
                                "gpt_neox."};

}  // namespace evo::model::families
