// What llama.cpp calls the networks, settings and arrays that Hugging Face's folders call
// otherwise. Reading and writing GGUF both follow from these tables.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace evo::weights {

struct GgufArchitecture {
  std::string_view name;        ///< general.architecture
  std::string_view model_type;  ///< of config.json
  std::string_view class_name;  ///< in its "architectures"
  /// Queries and keys lie in neighbouring rotary pairs (2i, 2i + 1) instead of (i, i + e/2).
  bool pairs_are_neighbours = false;
  /// Norms are stored with the 1 added that the network adds to them.
  bool norms_hold_one = false;
  enum class Norms { kBefore, kBehind, kBoth } norms = Norms::kBefore;  ///< of a branch
  /// Gate and up are one array, called up.
  bool fused_gate = false;
  /// One of two networks of this name: the one with experts.
  bool of_experts = false;
  // What llama.cpp has settings or arrays for in this network.
  bool windows = false;      ///< local layers, which ones it knows
  bool biases = false;       ///< of matrices
  bool multipliers = false;  ///< of embeddings, branches, scores and logits
};

/// nullptr if there is none. `experts`: the layers have some.
[[nodiscard]] const GgufArchitecture* find_gguf_architecture(std::string_view name, bool experts);
/// The one for a config.json of this model_type.
[[nodiscard]] const GgufArchitecture* gguf_architecture_of(std::string_view model_type);
[[nodiscard]] std::string gguf_architecture_names();

/// A setting: "attention.head_count" behind the architecture's name, "num_attention_heads".
struct GgufSetting {
  std::string_view key, field;
  bool whole = true;  ///< a whole number
};
[[nodiscard]] std::span<const GgufSetting> gguf_settings();

/// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight". Of arrays that hold all
/// experts ("ffn_gate_exps") that is the name of one, with '*' for its number. An array that no
/// table names gets a name under "model.", where whoever reads the model misses a place for it;
/// nothing for those that repeat a setting.
[[nodiscard]] std::optional<std::string> folder_name_of(const GgufArchitecture& architecture,
                                                        std::string_view gguf_name);
/// The other way round; nothing if GGUF has no name for it.
[[nodiscard]] std::optional<std::string> gguf_name_of(const GgufArchitecture& architecture,
                                                      std::string_view folder_name);

}  // namespace evo::weights
