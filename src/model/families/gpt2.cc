// GPT-2: LayerNorm, learned positions, a feed-forward part without a gate, and matrices stored
// [in, out].
#include <algorithm>
#include <tuple>
#include <utility>

#include "model/families/family.h"
#include "model/families/reading.h"

namespace evo::model::families {
namespace {

/// The same under Llama's keys.
json::Record gpt2_renamed(const json::Record& record) {
  json::Record made = record;
  for (const auto& [theirs, ours, otherwise] : {std::tuple{"n_embd", "hidden_size", 768},
                                                {"n_layer", "num_hidden_layers", 12},
                                                {"n_head", "num_attention_heads", 12},
                                                {"n_positions", "max_position_embeddings", 1024},
                                                {"vocab_size", "vocab_size", 50257}}) {
    if (!given(record, ours) || given(record, theirs)) {
      made.set(ours, value_or<int64_t>(record, theirs, otherwise));
    }
  }
  constexpr int64_t kWidest = 1 << 20;  // of a model that is not refused
  made.set(
      "intermediate_size",
      value_or<int64_t>(record, "n_inner", 4 * std::min(made.get_int("hidden_size"), kWidest)));
  made.set("rms_norm_eps", value_or(record, "layer_norm_epsilon", 1e-5));
  return made;
}

void read_gpt2(const json::Record& record, ModelConfig& config) {
  refuse_if_true(record, "scale_attn_by_inverse_layer_idx");
  refuse_if_true(record, "add_cross_attention");
  read_backbone(gpt2_renamed(record), {.tied = true}, config, "activation_function", "gelu_new");
  config.gated = false;
  config.layer_norm = config.learned_positions = true;
  config.qkv_bias = config.attention_out_bias = config.feed_forward_bias = true;
  if (!value_or(record, "scale_attn_weights", true)) config.score_scale = 1;
  config.layers.assign(config.num_hidden_layers, {.rotation = Rotation::kNone});
}

/// Name -> place of what is there for one layer, less its prefix.
ArrayPlace layer_place(const ModelConfig& c, const std::string& name, const Parameter& p) {
  const bool matrix = p.shape.size() == 2;
  const std::string kind = matrix ? ".weight" : ".bias";
  // [in, out] has as many columns as there are rows of ours.
  const auto array = [&](const char* theirs, int64_t rows, int64_t first, bool partial) {
    const std::vector<int64_t> shape =
        matrix ? std::vector<int64_t>{p.shape[1], rows} : std::vector<int64_t>{rows};
    return ArrayPlace{.array = theirs + kind,
                      .shape = shape,
                      .first_row = first,
                      .transposed = matrix,
                      .partial = partial};
  };
  const int64_t d = c.hidden_size;
  if (name.starts_with("self_attn.q_proj.")) return array("attn.c_attn", 3 * d, 0, true);
  if (name.starts_with("self_attn.k_proj.")) return array("attn.c_attn", 3 * d, d, true);
  if (name.starts_with("self_attn.v_proj.")) return array("attn.c_attn", 3 * d, 2 * d, true);
  if (name.starts_with("self_attn.o_proj.")) return array("attn.c_proj", d, 0, false);
  if (name.starts_with("mlp.up_proj.")) return array("mlp.c_fc", c.intermediate_size, 0, false);
  if (name.starts_with("mlp.down_proj.")) return array("mlp.c_proj", d, 0, false);
  const bool first = name.starts_with("input_layernorm.");
  return {.array = (first ? "ln_1" : "ln_2") + name.substr(name.rfind('.')), .shape = p.shape};
}

ArrayPlace place_gpt2(const ModelConfig& c, const Parameter& p) {
  constexpr std::string_view kLayers = "model.layers.";
  if (p.name.starts_with(kLayers)) {
    const size_t dot = p.name.find('.', kLayers.size());
    ArrayPlace found = layer_place(c, p.name.substr(dot + 1), p);
    found.array.insert(0,
                       "transformer.h." + p.name.substr(kLayers.size(), dot + 1 - kLayers.size()));
    return found;
  }
  std::string name = p.name;
  for (const auto& [ours, theirs] : {std::pair{"model.embed_tokens.", "transformer.wte."},
                                     {"model.embed_positions.", "transformer.wpe."},
                                     {"model.norm.", "transformer.ln_f."}}) {
    if (name.starts_with(ours)) name = theirs + name.substr(std::string_view(ours).size());
  }
  return {.array = name, .shape = p.shape};
}

}  // namespace

extern const Family kGpt2 = {"gpt2", "GPT2LMHeadModel", read_gpt2, place_gpt2, "transformer."};

}  // namespace evo::model::families
