#include "weights/gguf/architecture.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace evo::weights {
namespace {

using enum GgufArchitecture::Norms;

constexpr std::array kArchitectures = {
    GgufArchitecture{.name = "llama",
                     .model_type = "llama",
                     .class_name = "LlamaForCausalLM",
                     .pairs_are_neighbours = true,
                     .biases = true},
    GgufArchitecture{.name = "llama",
                     .model_type = "mixtral",
                     .class_name = "MixtralForCausalLM",
                     .pairs_are_neighbours = true,
                     .of_experts = true},
    GgufArchitecture{
        .name = "qwen2", .model_type = "qwen2", .class_name = "Qwen2ForCausalLM", .biases = true},
    GgufArchitecture{.name = "qwen3", .model_type = "qwen3", .class_name = "Qwen3ForCausalLM"},
    GgufArchitecture{.name = "qwen2moe",
                     .model_type = "qwen2_moe",
                     .class_name = "Qwen2MoeForCausalLM",
                     .biases = true},
    GgufArchitecture{
        .name = "qwen3moe", .model_type = "qwen3_moe", .class_name = "Qwen3MoeForCausalLM"},
    GgufArchitecture{.name = "smollm3",
                     .model_type = "smollm3",
                     .class_name = "SmolLM3ForCausalLM",
                     .pairs_are_neighbours = true},
    GgufArchitecture{.name = "granite",
                     .model_type = "granite",
                     .class_name = "GraniteForCausalLM",
                     .pairs_are_neighbours = true,
                     .biases = true,
                     .multipliers = true},
    GgufArchitecture{.name = "gemma",
                     .model_type = "gemma",
                     .class_name = "GemmaForCausalLM",
                     .norms_hold_one = true},
    GgufArchitecture{.name = "gemma2",
                     .model_type = "gemma2",
                     .class_name = "Gemma2ForCausalLM",
                     .norms_hold_one = true,
                     .norms = kBoth,
                     .windows = true},
    GgufArchitecture{.name = "gemma3",
                     .model_type = "gemma3_text",
                     .class_name = "Gemma3ForCausalLM",
                     .norms_hold_one = true,
                     .norms = kBoth,
                     .windows = true},
    GgufArchitecture{.name = "olmo2",
                     .model_type = "olmo2",
                     .class_name = "Olmo2ForCausalLM",
                     .norms = kBehind,
                     .windows = true},
    GgufArchitecture{.name = "olmoe", .model_type = "olmoe", .class_name = "OlmoeForCausalLM"},
    GgufArchitecture{.name = "phi3",
                     .model_type = "phi3",
                     .class_name = "Phi3ForCausalLM",
                     .fused_gate = true,
                     .windows = true},
    GgufArchitecture{.name = "seed_oss",
                     .model_type = "seed_oss",
                     .class_name = "SeedOssForCausalLM",
                     .biases = true},
};

constexpr std::array kSettings = {
    GgufSetting{"vocab_size", "vocab_size"},
    GgufSetting{"context_length", "max_position_embeddings"},
    GgufSetting{"embedding_length", "hidden_size"},
    GgufSetting{"block_count", "num_hidden_layers"},
    GgufSetting{"feed_forward_length", "intermediate_size"},
    GgufSetting{"attention.head_count", "num_attention_heads"},
    GgufSetting{"attention.head_count_kv", "num_key_value_heads"},
    GgufSetting{"attention.key_length", "head_dim"},
    GgufSetting{"attention.layer_norm_rms_epsilon", "rms_norm_eps", false},
    GgufSetting{"attention.sliding_window", "sliding_window"},
    GgufSetting{"rope.freq_base", "rope_theta", false},
    GgufSetting{"rope.freq_base_swa", "rope_local_base_freq", false},
    GgufSetting{"expert_count", "num_experts"},
    GgufSetting{"expert_used_count", "num_experts_per_tok"},
    GgufSetting{"expert_feed_forward_length", "moe_intermediate_size"},
    GgufSetting{"expert_shared_feed_forward_length", "shared_expert_intermediate_size"},
    GgufSetting{"attn_logit_softcapping", "attn_logit_softcapping", false},
    GgufSetting{"final_logit_softcapping", "final_logit_softcapping", false},
    GgufSetting{"embedding_scale", "embedding_multiplier", false},
    GgufSetting{"residual_scale", "residual_multiplier", false},
    GgufSetting{"logit_scale", "logits_scaling", false},
    GgufSetting{"attention.scale", "attention_multiplier", false},
};

struct NamePair {
  std::string_view gguf, folder;
};

constexpr std::array kTables = {
    NamePair{"token_embd", "model.embed_tokens"},
    NamePair{"output_norm", "model.norm"},
    NamePair{"output", "lm_head"},
};

constexpr std::array kNormBefore = {NamePair{"ffn_norm", "post_attention_layernorm"}};
constexpr std::array kNormsBehind = {
    NamePair{"post_attention_norm", "post_attention_layernorm"},
    NamePair{"post_ffw_norm", "post_feedforward_layernorm"},
};
constexpr std::array kNormsAround = {
    NamePair{"ffn_norm", "pre_feedforward_layernorm"},
    NamePair{"post_attention_norm", "post_attention_layernorm"},
    NamePair{"post_ffw_norm", "post_feedforward_layernorm"},
};

constexpr std::array kGateApart = {
    NamePair{"ffn_gate", "mlp.gate_proj"},
    NamePair{"ffn_up", "mlp.up_proj"},
};
constexpr std::array kFusedGate = {NamePair{"ffn_up", "mlp.gate_up_proj"}};

constexpr std::array kExperts = {
    NamePair{"ffn_gate_inp", "mlp.gate"},
    NamePair{"ffn_gate_exps", "mlp.experts.*.gate_proj"},
    NamePair{"ffn_up_exps", "mlp.experts.*.up_proj"},
    NamePair{"ffn_down_exps", "mlp.experts.*.down_proj"},
};
constexpr std::array kMixtralExperts = {
    NamePair{"ffn_gate_inp", "block_sparse_moe.gate"},
    NamePair{"ffn_gate_exps", "block_sparse_moe.experts.*.w1"},
    NamePair{"ffn_up_exps", "block_sparse_moe.experts.*.w3"},
    NamePair{"ffn_down_exps", "block_sparse_moe.experts.*.w2"},
};

constexpr std::array kLayer = {
    NamePair{"attn_norm", "input_layernorm"},
    NamePair{"attn_q", "self_attn.q_proj"},
    NamePair{"attn_k", "self_attn.k_proj"},
    NamePair{"attn_v", "self_attn.v_proj"},
    NamePair{"attn_qkv", "self_attn.qkv_proj"},
    NamePair{"attn_output", "self_attn.o_proj"},
    NamePair{"attn_q_norm", "self_attn.q_norm"},
    NamePair{"attn_k_norm", "self_attn.k_norm"},
    NamePair{"ffn_down", "mlp.down_proj"},
    NamePair{"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
    NamePair{"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    NamePair{"ffn_up_shexp", "mlp.shared_expert.up_proj"},
    NamePair{"ffn_down_shexp", "mlp.shared_expert.down_proj"},
};

// They say what rope_scaling says.
constexpr std::array<std::string_view, 3> kSettingArrays = {
    "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"};

std::span<const NamePair> norm_names(const GgufArchitecture& architecture) {
  if (architecture.norms == kBefore) return kNormBefore;
  return architecture.norms == kBehind ? std::span<const NamePair>(kNormsBehind) : kNormsAround;
}

/// The pair of which `member` is `name`, in an architecture's layers.
const NamePair* find_in_layer(const GgufArchitecture& architecture,
                              std::string_view NamePair::*member, std::string_view name) {
  const std::span<const NamePair> gates =
      architecture.fused_gate ? std::span<const NamePair>(kFusedGate) : kGateApart;
  const std::span<const NamePair> experts =
      architecture.of_experts ? std::span<const NamePair>(kMixtralExperts) : kExperts;
  for (const std::span<const NamePair> list :
       {std::span<const NamePair>(kLayer), norm_names(architecture), gates, experts}) {
    const auto found = std::ranges::find(list, name, member);
    if (found != list.end()) return &*found;
  }
  return nullptr;
}

/// "PREFIX3.MIDDLE.weight"; the number and the suffix as they are in the text.
struct LayerName {
  std::string_view number, middle, suffix;
};

/// Takes off ".weight" or ".bias".
std::pair<std::string_view, std::string_view> split_suffix(std::string_view name) {
  for (const std::string_view suffix : {".weight", ".bias"}) {
    if (name.ends_with(suffix)) return {name.substr(0, name.size() - suffix.size()), suffix};
  }
  return {name, ""};
}

std::optional<LayerName> split_layer(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return {};
  name.remove_prefix(prefix.size());
  const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  if (digits == 0 || digits == name.size() || name[digits] != '.') return {};
  const auto [middle, suffix] = split_suffix(name.substr(digits + 1));
  return LayerName{name.substr(0, digits), middle, suffix};
}

constexpr std::string_view kGgufLayer = "blk.", kFolderLayer = "model.layers.";

}  // namespace

const GgufArchitecture* find_gguf_architecture(std::string_view name, bool experts) {
  const GgufArchitecture* found = nullptr;
  for (const GgufArchitecture& one : kArchitectures) {
    if (one.name == name && (found == nullptr || (experts && one.of_experts))) found = &one;
  }
  return found;
}

const GgufArchitecture* gguf_architecture_of(std::string_view model_type) {
  if (model_type == "mistral") model_type = "llama";  // the same network
  if (model_type == "olmo3") model_type = "olmo2";    // with windows
  const auto found = std::ranges::find(kArchitectures, model_type, &GgufArchitecture::model_type);
  return found == kArchitectures.end() ? nullptr : &*found;
}

std::string gguf_architecture_names() {
  std::string names;
  for (const GgufArchitecture& one : kArchitectures) {
    if (!one.of_experts) names += fmt::format("{}{}", names.empty() ? "" : ", ", one.name);
  }
  return names;
}

std::span<const GgufSetting> gguf_settings() {
  return kSettings;
}

std::optional<std::string> folder_name_of(const GgufArchitecture& architecture,
                                          std::string_view name) {
  if (std::ranges::find(kSettingArrays, name) != kSettingArrays.end()) return {};
  const auto [stem, suffix] = split_suffix(name);
  const auto table = std::ranges::find(kTables, stem, &NamePair::gguf);
  if (table != kTables.end()) return fmt::format("{}{}", table->folder, suffix);
  if (const auto layer = split_layer(name, kGgufLayer)) {
    const NamePair* const pair = find_in_layer(architecture, &NamePair::gguf, layer->middle);
    if (pair != nullptr)
      return fmt::format("{}{}.{}{}", kFolderLayer, layer->number, pair->folder, layer->suffix);
  }
  return fmt::format("model.{}", name);
}

std::optional<std::string> gguf_name_of(const GgufArchitecture& architecture,
                                        std::string_view name) {
  const auto [stem, suffix] = split_suffix(name);
  const auto table = std::ranges::find(kTables, stem, &NamePair::folder);
  if (table != kTables.end()) return fmt::format("{}{}", table->gguf, suffix);
  const auto layer = split_layer(name, kFolderLayer);
  if (!layer) return {};
  const NamePair* const pair = find_in_layer(architecture, &NamePair::folder, layer->middle);
  if (pair == nullptr) return {};
  return fmt::format("{}{}.{}{}", kGgufLayer, layer->number, pair->gguf, layer->suffix);
}

}  // namespace evo::weights
