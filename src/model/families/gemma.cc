// Gemma 1, 2 and 3: embeddings times the root of their width, GELU, norms that are stored less 1;
// from Gemma 2 on with norms behind the branches and local layers, with soft caps in Gemma 2 and a
// norm of queries and keys in Gemma 3.
#include <cmath>

#include "model/families/family.h"
#include "model/families/reading.h"

namespace evo::model::families {
namespace {

void read_common(const json::Record& record, ModelConfig& config, int64_t max_positions,
                 int64_t kv_heads, double theta, const char* activation_key) {
  read_backbone(record,
                {.max_positions = max_positions,
                 .kv_heads = kv_heads,
                 .head_dim = 256,
                 .rope_theta = theta,
                 .tied = true},
                config, activation_key, "gelu_pytorch_tanh");
  refuse_if_true(record, "use_bidirectional_attention");
  read_biases(record, config);
  // As `transformers` rounds it, which keeps it in f32.
  config.embedding_scale =
      static_cast<double>(static_cast<float>(std::sqrt(static_cast<double>(config.hidden_size))));
}

/// Returns which layers are local.
std::vector<bool> read_sandwich(const json::Record& record, ModelConfig& config, int64_t interval) {
  config.norms_outputs = true;
  config.score_scale = 1 / std::sqrt(value_or(record, "query_pre_attn_scalar", 256.0));
  std::vector<bool> slides = read_layer_types(record, config.num_hidden_layers);
  if (slides.empty()) slides = all_but_every(interval, config.num_hidden_layers);
  set_windows(slides, value_or<int64_t>(record, "sliding_window", 4096), config);
  return slides;
}

/// The first files say "gelu" and mean its approximation.
void read_gemma(const json::Record& record, ModelConfig& config) {
  read_common(record, config, 8192, 16, 10000, "hidden_act");
  if (config.activation == ops::Activation::kGelu) config.activation = ops::Activation::kGeluTanh;
  read_rope(record, {}, config);
}

/// null says that there is none.
double read_cap(const json::Record& record, const char* key, double otherwise) {
  return record.has(key) && record.is_null(key) ? 0 : value_or(record, key, otherwise);
}

void read_gemma2(const json::Record& record, ModelConfig& config) {
  read_common(record, config, 8192, 4, 10000, "hidden_activation");
  read_rope(record, {}, config);
  (void)read_sandwich(record, config, 2);
  config.score_cap = read_cap(record, "attn_logit_softcapping", 50);
  config.logit_cap = read_cap(record, "final_logit_softcapping", 30);
}

void read_gemma3(const json::Record& record, ModelConfig& config) {
  config.qk_norm = true;
  read_common(record, config, 131072, 4, 1000000, "hidden_activation");
  read_ropes_by_layer(record, 1000000, 10000, "rope_local_base_freq", config);
  const std::vector<bool> slides =
      read_sandwich(record, config, value_or<int64_t>(record, "sliding_window_pattern", 6));
  set_local_rotations(slides, config);
  // "attn_logit_softcapping" caps nothing in `transformers`, whose model does not look at it.
  config.logit_cap = read_cap(record, "final_logit_softcapping", 0);
}

/// The language model in one that sees pictures too.
void read_gemma3_with_vision(const json::Record& record, ModelConfig& config) {
  if (!given(record, "text_config")) {
    fail("{}: text_config is missing: expected that of Gemma 3's language model", record.source());
  }
  json::Record text = record.get_record("text_config");
  text.set_source(record.source() + ": text_config");
  text.set("architectures", std::vector<std::string>{"Gemma3ForCausalLM"});
  text.set("model_type", "gemma3_text");
  if (given(record, "tie_word_embeddings")) {
    text.set("tie_word_embeddings", record.get_bool("tie_word_embeddings"));
  }
  config = ModelConfig::read(text);
}

ArrayPlace place_gemma(const ModelConfig& /*config*/, const Parameter& p) {
  const bool norm = p.name.ends_with("norm.weight");
  return {.array = p.name, .shape = p.shape, .added = norm ? 1.0f : 0.0f};
}

}  // namespace

extern const Family kGemma = {"gemma", "GemmaForCausalLM", read_gemma, place_gemma};
extern const Family kGemma2 = {"gemma2", "Gemma2ForCausalLM", read_gemma2, place_gemma};
extern const Family kGemma3WithVision = {"gemma3", "Gemma3ForConditionalGeneration",
                                         read_gemma3_with_vision};
extern const Family kGemma3 = {"gemma3_text", "Gemma3ForCausalLM", read_gemma3, place_gemma};

}  // namespace evo::model::families
