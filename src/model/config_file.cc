// config.json: Hugging Face's of four families, with their defaults, and ours, which is one of them
// with an object "evo" more.
#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>

#include "json/fields.h"
#include "model/config.h"
#include "weights/gguf/gguf_file.h"
#include "weights/model_documents.h"

namespace evo::model {
namespace {

/// What `transformers` assumes where config.json is silent, as far as it matters here.
struct Family {
  const char* name;          // "model_type"
  const char* architecture;  // in "architectures"
  int64_t kv_heads;          // 0: as many as query heads
  int64_t head_dim;          // 0: the hidden size over the heads
  int64_t max_positions;
  int64_t sliding_window;
  bool has_window, window_is_optional;
  int64_t max_window_layers;
  bool qk_norm, qkv_bias;
};

constexpr std::array kFamilies = {
    Family{"llama", "LlamaForCausalLM", 0, 0, 2048, 0, false, false, 0, false, false},
    Family{"mistral", "MistralForCausalLM", 8, 0, 131072, 4096, true, false, 0, false, false},
    Family{"qwen2", "Qwen2ForCausalLM", 32, 0, 32768, 4096, true, true, 28, false, true},
    Family{"qwen3", "Qwen3ForCausalLM", 32, 128, 32768, 4096, true, true, 28, true, false},
};
constexpr const char* kSupported = "llama, mistral, qwen2 or qwen3";

/// A value to be read is there; null says as much as nothing.
bool given(const json::Record& record, const char* key) {
  return record.has(key) && !record.is_null(key);
}

template <json::fields::FieldType T>
T value_or(const json::Record& record, const char* key, T otherwise) {
  if (given(record, key)) json::fields::read_value(record, key, otherwise);
  return otherwise;
}

[[noreturn]] void refuse(const json::Record& record, const char* key, const std::string& found,
                         const std::string& expected) {
  fail("{}: {} is {}, which is not supported: expected {}", record.source(), key, found, expected);
}

const Family& named_family(const json::Record& record) {
  const std::string type = value_or<std::string>(record, "model_type", "");
  std::string architecture;
  if (given(record, "architectures")) {
    const std::vector<std::string> all = record.get_strings("architectures");
    if (all.size() != 1) {
      fail("{}: architectures must be a list of one name, found {} names", record.source(),
           all.size());
    }
    architecture = all[0];
  }
  for (const Family& family : kFamilies) {
    if (type.empty() ? architecture != family.architecture : type != family.name) continue;
    // The same network under another head: what the file holds is no language model.
    if (!architecture.empty() && architecture != family.architecture)
      refuse(record, "architectures", architecture, family.architecture);
    return family;
  }
  if (type.empty() && architecture.empty()) return kFamilies[0];  // our first files said neither
  if (type.empty()) refuse(record, "architectures", architecture, "LlamaForCausalLM or the like");
  refuse(record, "model_type", type, kSupported);
}

/// Settings that would change what the backbone computes.
void require_supported(const json::Record& record) {
  const auto activation = value_or<std::string>(record, "hidden_act", "silu");
  if (activation != "silu" && activation != "swish")
    refuse(record, "hidden_act", activation, "silu");
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    if (value_or(record, key, false)) refuse(record, key, "true", "false");
  }
  if (given(record, "quantization_config")) {
    refuse(record, "quantization_config", "set", "weights in F32, BF16 or F16");
  }
}

void require_whole_rotation(const json::Record& record) {
  const double part = value_or(record, "partial_rotary_factor", 1.0);
  if (part != 1) refuse(record, "partial_rotary_factor", fmt::format("{}", part), "1");
}

/// "rope_parameters" is the newer spelling and holds the base too.
void read_rope(const json::Record& record, ModelConfig& config) {
  require_whole_rotation(record);
  const char* key = given(record, "rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!given(record, key)) return;
  const json::Record rope = record.get_record(key);
  require_whole_rotation(rope);
  for (const char* kind : {"full_attention", "sliding_attention"}) {
    if (rope.has(kind)) refuse(record, key, "by layer type", "the same for all layers");
  }
  config.rope_theta = value_or(rope, "rope_theta", config.rope_theta);
  json::read_fields(rope, config.rope_scaling, fmt::format("{}: {}", record.source(), key), true);
  ops::RopeScaling& scaling = config.rope_scaling;
  if (!given(rope, "rope_type")) scaling.rope_type = rope.get_string("type");
  // Dynamic scaling begins where max_position_embeddings end, and so do our texts.
  if (scaling.rope_type == "dynamic") scaling = ops::RopeScaling();
  if (scaling.rope_type == "yarn" && scaling.original_max_position_embeddings == 0)
    scaling.original_max_position_embeddings = config.max_position_embeddings;
}

/// Layers in "layer_types" before the first that has a window.
int64_t full_layers(const json::Record& record, int64_t layers) {
  const std::vector<std::string> types = record.get_strings("layer_types");
  const auto first = std::ranges::find(types, "sliding_attention");
  const bool right =
      std::all_of(types.begin(), first, [](auto& t) { return t == "full_attention"; });
  if (!right || std::any_of(first, types.end(), [](auto& t) { return t != "sliding_attention"; }) ||
      std::cmp_not_equal(types.size(), layers)) {
    refuse(record, "layer_types", fmt::format("a list of {} of other kinds or order", types.size()),
           fmt::format("{} layers, full_attention before sliding_attention", layers));
  }
  return first - types.begin();
}

void read_window(const json::Record& record, const Family& family, ModelConfig& config) {
  config.sliding_window = config.max_window_layers = 0;
  if (!family.has_window) return;
  if (family.window_is_optional && !value_or(record, "use_sliding_window", false)) return;
  // null says that there is none.
  if (record.has("sliding_window") && record.is_null("sliding_window")) return;
  config.sliding_window = value_or(record, "sliding_window", family.sliding_window);
  if (!family.window_is_optional) return;
  config.max_window_layers = given(record, "layer_types")
                                 ? full_layers(record, config.num_hidden_layers)
                                 : value_or(record, "max_window_layers", family.max_window_layers);
  if (config.max_window_layers >= config.num_hidden_layers)
    config.sliding_window = config.max_window_layers = 0;
}

void read_backbone(const json::Record& record, ModelConfig& config) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads"}) {
    if (!given(record, key)) {
      fail("{}: {} is missing: expected a config.json of a language model", record.source(), key);
    }
  }
  const Family& family = named_family(record);
  config.max_position_embeddings = family.max_positions;
  config.rms_norm_eps = 1e-6;
  config.tie_word_embeddings = false;
  config.num_key_value_heads = family.kv_heads;
  config.head_dim = family.head_dim;
  config.qk_norm = family.qk_norm;
  config.qkv_bias = family.qkv_bias;
  // Files of other programs hold many keys that do not concern us.
  json::read_fields(record, static_cast<BackboneConfig&>(config), {}, true);
  if (config.num_key_value_heads == 0 && !given(record, "num_key_value_heads"))
    config.num_key_value_heads = config.num_attention_heads;
  if (config.head_dim == 0 && !given(record, "head_dim"))
    config.head_dim = config.hidden_size / std::max<int64_t>(1, config.num_attention_heads);
  read_window(record, family, config);
  read_rope(record, config);
}

/// One id or a list of them. Ids that the model does not know cannot end a text.
std::vector<int64_t> token_ids(const json::Record& record, const char* key, int64_t vocabulary) {
  if (!given(record, key)) return {};
  std::vector<int64_t> ids;
  try {
    ids = {record.get_int(key)};
  } catch (const Error&) {
    ids = record.get_ints(key);
  }
  std::erase_if(ids, [&](int64_t id) { return id < 0 || id >= vocabulary; });
  return ids;
}

/// generation_config.json, which comes second, overrules config.json.
void read_special_tokens(const json::Record& record, ModelConfig& config) {
  const std::vector<int64_t> first = token_ids(record, "bos_token_id", config.vocab_size);
  if (!first.empty()) config.bos_token_id = first[0];
  const std::vector<int64_t> last = token_ids(record, "eos_token_id", config.vocab_size);
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

ModelConfig ModelConfig::load(const std::string& path) {
  const std::filesystem::path given(path);
  const bool is_model = std::filesystem::is_directory(given) || weights::is_gguf(given);
  const weights::ModelDocuments documents(is_model ? given : given.parent_path());
  const json::Record record =
      documents.required_record(is_model ? "config.json" : given.filename().string());
  require_supported(record);
  ModelConfig config;
  read_backbone(record, config);
  config.flow = record.has("evo");
  if (config.flow)
    json::read_fields(record.get_record("evo"), static_cast<FlowConfig&>(config),
                      record.source() + ": evo");
  try {
    config.validate();
  } catch (const Error& error) {
    fail("{}: {}", record.source(), error.what());
  }
  read_special_tokens(record, config);
  if (const auto generation = documents.record("generation_config.json"))
    read_special_tokens(*generation, config);
  return config;
}

json::Record ModelConfig::record(std::string_view weights) const {
  const std::string name = family();
  const auto found = std::ranges::find(kFamilies, name, &Family::name);
  EVO_CHECK(found != kFamilies.end());
  json::Record record;
  record.set("architectures", std::vector<std::string>{found->architecture});
  record.set("model_type", name);
  record.set("hidden_act", "silu");
  record.set("torch_dtype", weights == "BF16" ? "bfloat16" : "float32");
  json::write_fields(static_cast<const BackboneConfig&>(*this), record);
  if (found->window_is_optional) record.set("use_sliding_window", sliding_window > 0);
  if (!rope_scaling.is_default()) record.set("rope_scaling", scaling_record(rope_scaling));
  set_special_tokens(*this, record);
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
