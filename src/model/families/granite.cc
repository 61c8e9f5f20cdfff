// Granite: a Llama with constant factors at embeddings, branches, scores and logits.
#include "model/families/family.h"
#include "model/families/reading.h"

namespace evo::model::families {
namespace {

void read_granite(const json::Record& record, ModelConfig& config) {
  read_backbone(record, {}, config);
  read_biases(record, config);
  read_rope(record, {}, config);
  config.embedding_scale = value_or(record, "embedding_multiplier", 1.0);
  config.residual_scale = value_or(record, "residual_multiplier", 1.0);
  config.score_scale = value_or(record, "attention_multiplier", 1.0);
  const double divisor = value_or(record, "logits_scaling", 1.0);
  if (!(divisor > 0)) refuse(record, "logits_scaling", fmt::format("{}", divisor), "above 0");
  config.logit_scale = 1 / divisor;
}

}  // namespace

extern const Family kGranite = {"granite", "GraniteForCausalLM", read_granite};

}  // namespace evo::model::families
