// config.json and its like, as GGUF's metadata says them.
#include <algorithm>

#include "json/record.h"
#include "weights/gguf/gguf_model.h"
#include "weights/gguf/llama3_scaling.h"
#include "weights/gguf/sampling_keys.h"

namespace evo::weights {
namespace {

/// Reads the settings of one model's network.
class Settings {
 public:
  explicit Settings(const GgufModel& model)
      : file_(model.head()), prefix_(fmt::format("{}.", model.architecture().name)) {}

  [[nodiscard]] bool has(std::string_view key) const { return file_.has(own(key)); }
  [[nodiscard]] std::optional<double> real(std::string_view key) const {
    return file_.real(own(key));
  }
  [[nodiscard]] std::string text(std::string_view key) const {
    return std::string(file_.text(own(key)).value_or(""));
  }
  [[nodiscard]] double required_real(std::string_view key) const {
    if (const auto value = real(key)) return *value;
    fail("{}: the metadata has no {}", file_.name(), own(key));
  }

  /// Some files say a number for each layer, which must be the same one.
  [[nodiscard]] std::optional<int64_t> integer(std::string_view key) const {
    const std::string name = own(key);
    if (!file_.is_array(name)) return file_.integer(name);
    const std::vector<int64_t> all = file_.integers(name);
    if (all.empty()) fail("{}: {} is an empty array", file_.name(), name);
    for (const int64_t one : all) {
      if (one != all[0]) {
        fail("{}: {} differs from layer to layer ({} and {}), which is not supported", file_.name(),
             name, all[0], one);
      }
    }
    return all[0];
  }

 private:
  [[nodiscard]] std::string own(std::string_view key) const {
    return fmt::format("{}{}", prefix_, key);
  }

  const GgufFile& file_;
  std::string prefix_;
};

std::vector<double> read_factors(const GgufModel& model, std::string_view name) {
  const GgufArray* const array = model.find(name);
  if (array == nullptr) return {};
  if (array->format->weights != 1 || array->shape.size() != 1) {
    fail("{}: {} has shape {} in {}, expected a vector of F32", model.head().name(), name,
         shape_text(array->shape), array->format->name);
  }
  std::vector<float> values(static_cast<size_t>(array->shape[0]));
  array->format->read(reinterpret_cast<const uint8_t*>(array->bytes.data()), array->shape[0],
                      values.data());
  return {values.begin(), values.end()};
}

void set_rope(const GgufModel& model, const Settings& settings, json::Record& config) {
  const std::string type = settings.text("rope.scaling.type");
  const std::vector<double> divisors = read_factors(model, "rope_freqs.weight");
  const std::vector<double> longs = read_factors(model, "rope_factors_long.weight");
  json::Record scaling;
  if (!longs.empty()) {
    scaling.set("rope_type", "longrope").set("long_factor", longs);
    scaling.set("short_factor", read_factors(model, "rope_factors_short.weight"));
  } else if (!divisors.empty()) {
    const std::string where = fmt::format("{}: rope_freqs.weight", model.head().name());
    config.set("rope_scaling", llama3_record(find_llama3_scaling(config.get_double("rope_theta"),
                                                                 divisors, where)));
    return;
  } else if (type == "linear" || type == "yarn") {
    scaling.set("rope_type", type).set("factor", settings.required_real("rope.scaling.factor"));
  } else if (type.empty() || type == "none") {
    return;
  } else {
    fail("{}: rope.scaling.type is '{}', expected none, linear, yarn or longrope",
         model.head().name(), type);
  }
  if (const auto original = settings.integer("rope.scaling.original_context_length"))
    scaling.set("original_max_position_embeddings", *original);
  if (const auto factor = settings.real("rope.scaling.attn_factor"); factor && type != "linear")
    scaling.set("attention_factor", *factor);
  config.set("rope_scaling", scaling);
}

void set_head(const GgufModel& model, const Settings& settings, json::Record& config) {
  const int64_t heads =
      config.has("num_attention_heads") ? config.get_int("num_attention_heads") : 0;
  const auto rotated = settings.integer("rope.dimension_count");
  if (!config.has("head_dim") && heads > 0 && config.has("hidden_size"))
    config.set("head_dim", config.get_int("hidden_size") / heads);
  if (!config.has("head_dim") || !rotated || *rotated == config.get_int("head_dim")) return;
  if (!settings.has("attention.key_length") && model.architecture().pairs_are_neighbours) {
    config.set("head_dim", *rotated);
  } else {
    config.set("partial_rotary_factor",
               static_cast<double>(*rotated) / static_cast<double>(config.get_int("head_dim")));
  }
}

/// What Gemma's files leave to those who know the models.
void set_gemma(const GgufModel& model, json::Record& config) {
  if (!model.architecture().norms_hold_one) return;
  config.set("hidden_activation", "gelu_pytorch_tanh");
  if (model.architecture().norms == GgufArchitecture::Norms::kBefore) return;
  const int64_t layers = config.get_int("num_hidden_layers"),
                heads = config.get_int("num_attention_heads");
  // The largest of each generation scales by the width over the heads, the others by the head.
  const bool largest = layers == (model.architecture().name == "gemma2" ? 46 : 62);
  config.set("query_pre_attn_scalar",
             largest ? config.get_int("hidden_size") / heads : config.get_int("head_dim"));
}

void set_biases(const GgufModel& model, json::Record& config) {
  const bool always =
      model.architecture().name.starts_with("qwen2");  // their config has no such field
  if (!always && model.find("blk.0.attn_q.bias") != nullptr) config.set("attention_bias", true);
  if (model.find("blk.0.ffn_gate.bias") != nullptr) config.set("mlp_bias", true);
}

void set_architecture(const GgufModel& model, json::Record& config) {
  const GgufArchitecture& architecture = model.architecture();
  // OLMo 3 is OLMo 2 with windows, and goes by its name.
  const bool olmo3 = architecture.name == "olmo2" && config.has("sliding_window");
  config.set("model_type", olmo3 ? "olmo3" : architecture.model_type);
  config.set(
      "architectures",
      std::vector<std::string>{olmo3 ? "Olmo3ForCausalLM" : std::string(architecture.class_name)});
}

void set_experts(const GgufModel& model, json::Record& config) {
  if (!config.has("num_experts")) return;
  if (model.architecture().of_experts) {
    config.set("num_local_experts", config.get_int("num_experts"));
    config.erase("num_experts");
  }
  if (model.architecture().name == "qwen3moe") config.set("norm_topk_prob", true);
}

json::Record make_config(const GgufModel& model) {
  const Settings settings(model);
  json::Record config;
  for (const GgufSetting& setting : gguf_settings()) {
    if (!setting.whole) {
      if (const auto value = settings.real(setting.key)) config.set(setting.field, *value);
    } else if (const auto value = settings.integer(setting.key)) {
      config.set(setting.field, *value);
    }
  }
  const GgufArray* const embedding = model.find("token_embd.weight");
  if (embedding == nullptr) fail("{}: there is no array token_embd.weight", model.head().name());
  config.set("vocab_size", embedding->shape.front());
  config.set("tie_word_embeddings", model.find("output.weight") == nullptr);
  if (!config.has("rope_theta")) config.set("rope_theta", 10000.0);
  set_architecture(model, config);
  set_head(model, settings, config);
  set_gemma(model, config);
  set_biases(model, config);
  set_experts(model, config);
  set_rope(model, settings, config);
  return config;
}

/// "tokenizer.ggml.NAME_token_id" of a token that the vocabulary has.
std::optional<int64_t> token_id(const GgufFile& file, std::string_view name) {
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
  const auto id = file.integer(key);
  const uint64_t tokens = file.count("tokenizer.ggml.tokens").value_or(0);
  if (id && *id >= 0 && std::cmp_less(*id, tokens)) return id;
  // Writers give -1 for none.
  if (!id || *id == -1 || *id == UINT32_MAX) return {};
  fail("{}: {} is {}, but there are {} tokens", file.name(), key, *id, tokens);
}

json::Record make_generation_config(const GgufFile& file) {
  json::Record record;
  if (const auto begin = token_id(file, "bos")) record.set("bos_token_id", *begin);
  std::vector<int64_t> ends;
  for (const char* name : {"eos", "eot", "eom"}) {
    const auto id = token_id(file, name);
    if (id && std::ranges::find(ends, *id) == ends.end()) ends.push_back(*id);
  }
  if (ends.size() == 1) record.set("eos_token_id", ends[0]);
  if (ends.size() > 1) record.set("eos_token_id", ends);
  bool samples = false;
  for (const SamplingKey& key : kSamplingKeys) {
    if (!file.has(key.gguf)) continue;
    if (key.whole) {
      record.set(key.field, *file.integer(key.gguf));
    } else {
      record.set(key.field, *file.real(key.gguf));
    }
    samples = true;
  }
  if (samples) record.set("do_sample", true);
  return record;
}

json::Record make_tokenizer_config(const GgufFile& file) {
  json::Record record;
  if (!file.has("tokenizer.ggml.tokens")) return record;
  const std::vector<std::string_view> tokens = file.texts("tokenizer.ggml.tokens");
  for (const auto& [key, field] :
       {std::pair("bos", "bos_token"), std::pair("eos", "eos_token"),
        std::pair("unknown", "unk_token"), std::pair("padding", "pad_token")}) {
    if (const auto id = token_id(file, key)) record.set(field, tokens[static_cast<size_t>(*id)]);
  }
  return record;
}

}  // namespace

std::map<std::string, std::string, std::less<>> gguf_documents(const GgufModel& model) {
  std::map<std::string, std::string, std::less<>> documents = {
      {"config.json", make_config(model).dump(true)},
      {"generation_config.json", make_generation_config(model.head()).dump(true)},
      {"tokenizer_config.json", make_tokenizer_config(model.head()).dump(true)},
  };
  if (const auto chat = model.head().text("tokenizer.chat_template"))
    documents.emplace("chat_template.jinja", *chat);
  return documents;
}

}  // namespace evo::weights
