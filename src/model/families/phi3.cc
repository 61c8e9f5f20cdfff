// Phi-3 and Phi-4: a Llama, of which a part of a head may be turned, with its matrices side by
// side.
#include <map>

#include "model/families/family.h"
#include "model/families/reading.h"

namespace evo::model::families {
namespace {

void read_phi3(const json::Record& record, ModelConfig& config) {
  read_backbone(record, {.max_positions = 4096, .norm_eps = 1e-5}, config);
  read_rope(record, {.whole = false, .original_positions = 4096}, config);
  config.sliding_window = value_or<int64_t>(record, "sliding_window", 0);
}

/// q | k | v is one array, and so is gate | up.
ArrayPlace place_phi3(const ModelConfig& c, const Parameter& p) {
  const int64_t q = c.query_size(), kv = c.key_size();
  const int64_t f = c.intermediate_size;
  struct Part {
    std::string_view ours, theirs;
    int64_t first_row, all_rows;
  };
  for (const auto& [ours, theirs, first_row, all_rows] :
       {Part{"self_attn.q_proj.weight", "self_attn.qkv_proj.weight", 0, q + 2 * kv},
        Part{"self_attn.k_proj.weight", "self_attn.qkv_proj.weight", q, q + 2 * kv},
        Part{"self_attn.v_proj.weight", "self_attn.qkv_proj.weight", q + kv, q + 2 * kv},
        Part{"mlp.gate_proj.weight", "mlp.gate_up_proj.weight", 0, 2 * f},
        Part{"mlp.up_proj.weight", "mlp.gate_up_proj.weight", f, 2 * f}}) {
    if (!p.name.ends_with(ours)) continue;
    const std::string layer = p.name.substr(0, p.name.size() - ours.size());
    return {.array = layer + std::string(theirs),
            .shape = {all_rows, p.shape[1]},
            .first_row = first_row,
            .partial = true};
  }
  return {.array = p.name, .shape = p.shape};
}

}  // namespace

extern const Family kPhi3 = {"phi3", "Phi3ForCausalLM", read_phi3, place_phi3};

}  // namespace evo::model::families
