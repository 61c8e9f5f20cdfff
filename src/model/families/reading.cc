#include "model/families/reading.h"

#include <algorithm>
#include <array>
#include <utility>

namespace evo::model {
namespace {

constexpr std::array<std::pair<const char*, ops::Activation>, 7> kActivations = {{
    {"silu", ops::Activation::kSilu},
    {"swish", ops::Activation::kSilu},
    {"gelu", ops::Activation::kGelu},
    {"gelu_python", ops::Activation::kGelu},
    {"gelu_new", ops::Activation::kGeluTanh},
    {"gelu_fast", ops::Activation::kGeluTanh},
    {"gelu_pytorch_tanh", ops::Activation::kGeluTanh},
}};

struct RotarySettings {
  double theta = 0, part = 1;
  ops::RopeScaling scaling;
  int64_t longest = 0;  ///< positions that it is right for
};

/// Scaling of the kinds that are made for texts longer than the training's.
void complete_scaling(const json::Record& record, const json::Record& rope,
                      const RotaryRules& rules, const ModelConfig& config,
                      ops::RopeScaling& scaling) {
  const int64_t longest = config.max_position_embeddings;
  int64_t original = value_or(rope, "original_max_position_embeddings", longest);
  if (rules.original_positions > 0) original = rules.original_positions;
  scaling.original_max_position_embeddings =
      value_or(record, "original_max_position_embeddings", original);
  if (!given(rope, "factor") && scaling.rope_type != "llama3" &&
      scaling.original_max_position_embeddings > 0) {
    scaling.factor = static_cast<double>(longest) /
                     static_cast<double>(scaling.original_max_position_embeddings);
  }
}

RotarySettings read_rotary(const json::Record& record, const json::Record& rope,
                           const RotaryRules& rules, const ModelConfig& config) {
  RotarySettings read;
  read.theta = value_or(rope, "rope_theta", rules.theta);
  read.part = value_or(rope, "partial_rotary_factor",
                       value_or(record, "partial_rotary_factor", rules.part));
  if (rules.whole && read.part != 1) {
    refuse(record, "partial_rotary_factor", fmt::format("{}", read.part), "1");
  }
  if (!(read.part > 0 && read.part <= 1)) {
    refuse(record, "partial_rotary_factor", fmt::format("{}", read.part), "above 0, at most 1");
  }
  read.longest = config.max_position_embeddings;
  ops::RopeScaling& scaling = read.scaling;
  json::read_fields(rope, scaling, rope.source(), true);
  if (!given(rope, "rope_type")) {
    scaling.rope_type = value_or<std::string>(rope, "type", "default");
  }
  // Dynamic scaling begins where max_position_embeddings end, and so do our texts.
  if (scaling.rope_type == "dynamic" || scaling.is_default()) {
    scaling = ops::RopeScaling();
    return read;
  }
  if (scaling.rope_type == "su") scaling.rope_type = "longrope";  // its first name
  if (scaling.rope_type == "linear" || scaling.rope_type == "llama3")
    (void)rope.get_double("factor");
  if (scaling.rope_type != "linear") complete_scaling(record, rope, rules, config, scaling);
  // Longer texts have other frequencies, from their first token on: a cache would be wrong.
  if (scaling.rope_type == "longrope") {
    read.longest = std::min(read.longest, scaling.original_max_position_embeddings);
  } else {
    scaling.short_factor.clear();
  }
  return read;
}

/// The object that holds them; an empty one says as much as none.
json::Record rope_object(const json::Record& record) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!given(record, key)) continue;
    json::Record rope = record.get_record(key);
    if (rope.keys().empty()) continue;
    rope.set_source(fmt::format("{}: {}", record.source(), key));
    return rope;
  }
  json::Record none;
  none.set_source(record.source());
  return none;
}

}  // namespace

void refuse(const json::Record& record, const char* key, const std::string& found,
            const std::string& expected) {
  fail("{}: {} is {}, which is not supported: expected {}", record.source(), key, found, expected);
}

void refuse_if_true(const json::Record& record, const char* key) {
  if (value_or(record, key, false)) refuse(record, key, "true", "false");
}

ops::Activation read_activation(const json::Record& record, const char* key,
                                const char* otherwise) {
  const auto name = value_or<std::string>(record, key, otherwise);
  std::vector<std::string> known;
  for (const auto& [known_name, activation] : kActivations) {
    if (name == known_name) return activation;
    known.emplace_back(known_name);
  }
  refuse(record, key, name, fmt::format("one of {}", fmt::join(known, ", ")));
}

void read_backbone(const json::Record& record, const BackboneDefaults& defaults,
                   ModelConfig& config, const char* activation_key, const char* activation) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads"}) {
    if (!given(record, key)) {
      fail("{}: {} is missing: expected a config.json of a language model", record.source(), key);
    }
  }
  config.max_position_embeddings = defaults.max_positions;
  config.rms_norm_eps = defaults.norm_eps;
  config.tie_word_embeddings = defaults.tied;
  config.num_key_value_heads = defaults.kv_heads;
  config.head_dim = defaults.head_dim;
  config.rope_theta = defaults.rope_theta;
  // Files of other programs hold many keys that do not concern us.
  json::read_fields(record, static_cast<BackboneConfig&>(config), {}, true);
  config.sliding_window = config.max_window_layers = 0;
  if (config.num_key_value_heads == 0 && !given(record, "num_key_value_heads"))
    config.num_key_value_heads = config.num_attention_heads;
  if (config.head_dim == 0 && !given(record, "head_dim"))
    config.head_dim = config.hidden_size / std::max<int64_t>(1, config.num_attention_heads);
  // What is by layer is read before the whole is validated.
  if (config.num_hidden_layers < 1 || config.num_hidden_layers > 4096) {
    refuse(record, "num_hidden_layers", fmt::format("{}", config.num_hidden_layers), "1 to 4096");
  }
  config.activation = read_activation(record, activation_key, activation);
}

void read_biases(const json::Record& record, ModelConfig& config) {
  if (value_or(record, "attention_bias", false)) config.qkv_bias = config.attention_out_bias = true;
  config.feed_forward_bias = value_or(record, "mlp_bias", false);
}

void read_rope(const json::Record& record, const RotaryRules& rules, ModelConfig& config) {
  const json::Record rope = rope_object(record);
  for (const char* kind : {"full_attention", "sliding_attention"}) {
    if (rope.has(kind)) {
      fail(
          "{} is by layer type, which is not supported for model_type {}: expected the same for "
          "all layers",
          rope.source(), config.model_type);
    }
  }
  RotaryRules own = rules;
  own.theta = config.rope_theta;
  const RotarySettings read = read_rotary(record, rope, own, config);
  config.rope_theta = read.theta;
  config.rope_scaling = read.scaling;
  config.max_position_embeddings = read.longest;
  const auto size = static_cast<int64_t>(static_cast<double>(config.head_dim) * read.part);
  config.rotary_size = size == config.head_dim ? 0 : size;
}

void read_ropes_by_layer(const json::Record& record, double theta, double local_theta,
                         const char* local_key, ModelConfig& config) {
  json::Record all;
  if (given(record, "rope_parameters")) all = record.get_record("rope_parameters");
  const auto of = [&](const char* kind) {
    json::Record rope = given(all, kind) ? all.get_record(kind) : json::Record();
    rope.set_source(fmt::format("{}: rope_parameters: {}", record.source(), kind));
    return rope;
  };
  json::Record global = of("full_attention");
  if (const json::Record scaling = rope_object(record); given(record, "rope_scaling")) {
    const bool has_base = given(global, "rope_theta");
    const double base = has_base ? global.get_double("rope_theta") : theta;
    if (!scaling.keys().empty()) global = scaling;
    if (has_base && !given(global, "rope_theta")) global.set("rope_theta", base);
  }
  RotaryRules rules{.theta = value_or(record, "rope_theta", theta)};
  const RotarySettings of_all = read_rotary(record, global, rules, config);
  rules.theta = local_key ? value_or(record, local_key, local_theta) : local_theta;
  const RotarySettings of_local = read_rotary(record, of("sliding_attention"), rules, config);
  config.rope_theta = of_all.theta;
  config.rope_scaling = of_all.scaling;
  config.local_rope_theta = of_local.theta;
  config.local_rope_scaling = of_local.scaling;
  config.max_position_embeddings = std::min(of_all.longest, of_local.longest);
}

std::vector<bool> read_layer_types(const json::Record& record, int64_t layers) {
  std::vector<bool> slides;
  if (!given(record, "layer_types")) return slides;
  const std::vector<std::string> types = record.get_strings("layer_types");
  for (const std::string& type : types) {
    if (type != "full_attention" && type != "sliding_attention") {
      refuse(record, "layer_types", fmt::format("a list with '{}'", type),
             "full_attention or sliding_attention for each layer");
    }
    slides.push_back(type == "sliding_attention");
  }
  if (std::cmp_not_equal(types.size(), layers)) {
    refuse(record, "layer_types", fmt::format("a list of {}", types.size()),
           fmt::format("one for each of {} layers", layers));
  }
  return slides;
}

std::vector<bool> all_but_every(int64_t interval, int64_t layers) {
  std::vector<bool> chosen;
  for (int64_t i = 1; i <= layers; ++i) chosen.push_back(interval <= 0 || i % interval != 0);
  return chosen;
}

void set_windows(const std::vector<bool>& slides, int64_t window, ModelConfig& config) {
  config.layers.resize(config.num_hidden_layers);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    config.layers[i].window = slides[i] ? window : 0;
  }
}

void set_local_rotations(const std::vector<bool>& slides, ModelConfig& config) {
  for (size_t i = 0; i < slides.size(); ++i) {
    config.layers[i].rotation = slides[i] ? Rotation::kLocal : Rotation::kGlobal;
  }
}

}  // namespace evo::model
