// Mistral, whose layers all have a window or none, and Ministral, which has layer types.
#include <algorithm>

#include "model/families/family.h"
#include "model/families/reading.h"

namespace evo::model::families {
namespace {

/// Mistral with "layer_types" is a Ministral for `transformers`, too.
void read_mistral(const json::Record& record, ModelConfig& config) {
  read_backbone(record, {.max_positions = 131072, .kv_heads = 8}, config);
  refuse_if_true(record, "attention_bias");
  refuse_if_true(record, "mlp_bias");
  read_rope(record, {}, config);
  // null says that there is none.
  const bool none = record.has("sliding_window") && record.is_null("sliding_window");
  const int64_t window = none ? 0 : value_or<int64_t>(record, "sliding_window", 4096);
  const std::vector<bool> slides = read_layer_types(record, config.num_hidden_layers);
  if (std::ranges::find(slides, false) == slides.end()) {
    config.sliding_window = window;
  } else {
    set_windows(slides, window, config);
  }
}

}  // namespace

extern const Family kMistral = {"mistral", "MistralForCausalLM", read_mistral};
extern const Family kMinistral = {"ministral", "MinistralForCausalLM", read_mistral};

}  // namespace evo::model::families
