// config.json: Hugging Face's of the families that we know (families/), and ours, which is one of
// them with an object "evo" more.
#include <filesystem>

#include "json/fields.h"
#include "model/config.h"
#include "model/families/family.h"
#include "model/families/reading.h"
#include "weights/gguf/gguf_file.h"
#include "weights/model_documents.h"
#include "weights/quantized/quantization.h"

namespace evo::model {
namespace {

/// What the numbers are stored as: here too, so that no command goes further than this.
void require_supported(const json::Record& record) {
  if (given(record, "quantization_config"))
    (void)weights::read_quantization(record.get_record("quantization_config"));
}

/// Ids that the model does not know cannot end a text.
std::vector<int64_t> known_token_ids(const json::Record& record, const char* key,
                                     int64_t vocabulary) {
  std::vector<int64_t> ids = token_ids(record, key);
  std::erase_if(ids, [&](int64_t id) { return id < 0 || id >= vocabulary; });
  return ids;
}

/// generation_config.json, which comes second, overrules config.json.
void read_special_tokens(const json::Record& record, ModelConfig& config) {
  const std::vector<int64_t> first = known_token_ids(record, "bos_token_id", config.vocab_size);
  if (!first.empty()) config.bos_token_id = first[0];
  const std::vector<int64_t> last = known_token_ids(record, "eos_token_id", config.vocab_size);
  if (!last.empty()) config.eos_token_ids = last;
}

/// Only what the type knows: `transformers` warns of anything else.
json::Record scaling_record(const ops::RopeScaling& scaling) {
  json::Record record;
  record.set("rope_type", scaling.rope_type).set("factor", scaling.factor);
  if (scaling.rope_type == "linear") return record;
  record.set("original_max_position_embeddings", scaling.original_max_position_embeddings);
  if (scaling.rope_type == "llama3") {
    record.set("low_freq_factor", scaling.low_freq_factor);
    return record.set("high_freq_factor", scaling.high_freq_factor);
  }
  record.set("beta_fast", scaling.beta_fast).set("beta_slow", scaling.beta_slow);
  if (scaling.attention_factor > 0) record.set("attention_factor", scaling.attention_factor);
  if (scaling.mscale > 0) record.set("mscale", scaling.mscale);
  if (scaling.mscale_all_dim > 0) record.set("mscale_all_dim", scaling.mscale_all_dim);
  return record.set("truncate", scaling.truncate);
}

void set_special_tokens(const ModelConfig& config, json::Record& record) {
  if (config.bos_token_id >= 0) record.set("bos_token_id", config.bos_token_id);
  if (config.eos_token_ids.size() == 1) record.set("eos_token_id", config.eos_token_ids[0]);
  if (config.eos_token_ids.size() > 1) record.set("eos_token_id", config.eos_token_ids);
}

}  // namespace

std::vector<int64_t> token_ids(const json::Record& record, const char* key) {
  if (!given(record, key)) return {};
  try {
    return {record.get_int(key)};
  } catch (const Error&) {
    return record.get_ints(key);
  }
}

ModelConfig ModelConfig::read(const json::Record& record) {
  require_supported(record);
  const Family& family = named_family(record);
  ModelConfig config;
  config.model_type = family.model_type;
  family.read(record, config);
  config.flow = record.has("evo");
  if (config.flow) {
    json::read_fields(record.get_record("evo"), static_cast<FlowConfig&>(config),
                      record.source() + ": evo");
  }
  try {
    config.validate();
  } catch (const Error& error) {
    fail("{}: {}", record.source(), error.what());
  }
  if (config.source.empty()) config.source = record.dump();
  read_special_tokens(record, config);
  return config;
}

ModelConfig ModelConfig::load(const std::string& path) {
  const std::filesystem::path given(path);
  const bool is_model = std::filesystem::is_directory(given) || weights::is_gguf(given);
  const weights::ModelDocuments documents(is_model ? given : given.parent_path());
  ModelConfig config =
      read(documents.required_record(is_model ? "config.json" : given.filename().string()));
  if (const auto generation = documents.record("generation_config.json"))
    read_special_tokens(*generation, config);
  return config;
}

json::Record ModelConfig::record(std::string_view weights) const {
  const Family& family = saved_family_of(*this);
  const bool plain = is_plain();
  EVO_CHECK(plain || !source.empty());
  // What a family says of its blocks, it says best itself.
  json::Record record = plain ? json::Record() : json::Record::parse(source, "config.json");
  for (const char* key : {"dtype", "quantization_config"}) record.erase(key);
  record.set("architectures", std::vector<std::string>{std::string(family.architecture)});
  record.set("model_type", family.model_type);
  if (plain) record.set("hidden_act", "silu");
  record.set("torch_dtype", weights == "BF16" ? "bfloat16" : "float32");
  if (plain) {
    json::write_fields(static_cast<const BackboneConfig&>(*this), record);
    const bool optional_window = qk_norm || qkv_bias;
    if (optional_window) record.set("use_sliding_window", sliding_window > 0);
    if (!rope_scaling.is_default()) record.set("rope_scaling", scaling_record(rope_scaling));
  }
  record.set("tie_word_embeddings", tie_word_embeddings);
  set_special_tokens(*this, record);
  record.erase("evo");
  if (flow) {
    json::Record evo;
    json::write_fields(static_cast<const FlowConfig&>(*this), evo);
    record.set("evo", evo);
  }
  return record;
}

void ModelConfig::save(const std::string& path, std::string_view weights) const {
  record(weights).save(path);
}

}  // namespace evo::model
