// What the families' config.json files have in common.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "json/fields.h"
#include "model/config.h"

namespace evo::model {

/// A value to be read is there; null says as much as nothing.
[[nodiscard]] inline bool given(const json::Record& record, const char* key) {
  return record.has(key) && !record.is_null(key);
}

template <json::fields::FieldType T>
[[nodiscard]] T value_or(const json::Record& record, const char* key, T otherwise) {
  if (given(record, key)) json::fields::read_value(record, key, otherwise);
  return otherwise;
}

/// Throws Error: "FILE: KEY is FOUND, which is not supported: expected EXPECTED".
[[noreturn]] void refuse(const json::Record& record, const char* key, const std::string& found,
                         const std::string& expected);
/// Refuses a key that is given and true.
void refuse_if_true(const json::Record& record, const char* key);

/// What `transformers` assumes where config.json is silent. 0: as many key heads as query heads,
/// the hidden size over the heads.
struct BackboneDefaults {
  int64_t max_positions = 2048;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  double rope_theta = 10000;
  double norm_eps = 1e-6;
  bool tied = false;
};

/// The sizes, epsilon and activation of a backbone under Llama's keys, without a window.
void read_backbone(const json::Record& record, const BackboneDefaults& defaults,
                   ModelConfig& config, const char* activation_key = "hidden_act",
                   const char* activation = "silu");
[[nodiscard]] ops::Activation read_activation(const json::Record& record, const char* key,
                                              const char* otherwise);

/// "attention_bias" is of q, k, v and the output, "mlp_bias" of the feed-forward part.
void read_biases(const json::Record& record, ModelConfig& config);

/// "rope_scaling" or "rope_parameters", the newer spelling, which holds the base too: one for all
/// layers. `part` of a head is turned where they say nothing of it; families whose models always
/// turn all of it have `whole`. To be called when sizes are known.
struct RotaryRules {
  double theta = 10000;
  double part = 1;
  bool whole = true;
  int64_t original_positions = 0;  ///< 0: max_position_embeddings
};
void read_rope(const json::Record& record, const RotaryRules& rules, ModelConfig& config);
/// One for layers with a window, and one for the others, which rope_scaling is for. `local_key`, if
/// not null, has the base of the former in older files.
void read_ropes_by_layer(const json::Record& record, double theta, double local_theta,
                         const char* local_key, ModelConfig& config);

/// By layer, whether "layer_types" says that it has a window; empty if it is not given.
[[nodiscard]] std::vector<bool> read_layer_types(const json::Record& record, int64_t layers);
/// All but every `interval`-th layer.
[[nodiscard]] std::vector<bool> all_but_every(int64_t interval, int64_t layers);
/// Gives the layers that slide the window, 0 being none.
void set_windows(const std::vector<bool>& slides, int64_t window, ModelConfig& config);
/// Gives them the local base of positions.
void set_local_rotations(const std::vector<bool>& slides, ModelConfig& config);

}  // namespace evo::model
