// Llama, and our own first files. Biases are an option.
#include "model/families/family.h"
#include "model/families/reading.h"

namespace evo::model::families {
namespace {

void read_llama(const json::Record& record, ModelConfig& config) {
  read_backbone(record, {}, config);
  read_biases(record, config);
  read_rope(record, {}, config);
}

}  // namespace

extern const Family kLlama = {"llama", "LlamaForCausalLM", read_llama};

}  // namespace evo::model::families
