#include <gtest/gtest.h>

#include <cmath>

#include "base/testing.h"
#include "json/fields.h"
#include "model/families/family.h"

namespace evo::model {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

constexpr const char* kSizes = R"("vocab_size": 64, "hidden_size": 48, "intermediate_size": 96,
    "num_attention_heads": 4)";

ModelConfig read(std::string_view type, std::string_view more = "", std::string_view layers = "6") {
  const std::string text = fmt::format(R"({{"model_type": "{}", "num_hidden_layers": {}, {}{}{}}})",
                                       type, layers, kSizes, more.empty() ? "" : ", ", more);
  return ModelConfig::read(json::Record::parse(text, "config.json"));
}

std::vector<int64_t> windows(const ModelConfig& config) {
  std::vector<int64_t> found;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) found.push_back(config.layer(i).window);
  return found;
}

std::vector<Rotation> rotations(const ModelConfig& config) {
  std::vector<Rotation> found;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) found.push_back(config.layer(i).rotation);
  return found;
}

constexpr auto kGlobal = Rotation::kGlobal, kLocal = Rotation::kLocal, kNone = Rotation::kNone;

TEST(Families, LlamaMayHaveBiasesAndAnotherActivation) {
  const ModelConfig config =
      read("llama", R"("attention_bias": true, "mlp_bias": true, "hidden_act": "gelu")");
  EXPECT_TRUE(config.qkv_bias && config.attention_out_bias && config.feed_forward_bias);
  EXPECT_EQ(config.activation, ops::Activation::kGelu);
  EXPECT_EQ(config.saved_family(), "llama");
}

TEST(Families, MinistralHasLayerTypesAndSoHasMistral) {
  for (const char* type : {"mistral", "ministral"}) {
    const ModelConfig plain = read(type, R"("num_key_value_heads": 2)");
    EXPECT_EQ(windows(plain), std::vector<int64_t>(6, 4096));
    EXPECT_EQ(plain.saved_family(), "mistral");
    const ModelConfig config = read(
        type, R"("num_key_value_heads": 2, "sliding_window": 8, "layer_types": ["full_attention",
        "sliding_attention", "full_attention", "full_attention", "full_attention",
        "full_attention"])");
    EXPECT_EQ(windows(config), (std::vector<int64_t>{0, 8, 0, 0, 0, 0}));
    EXPECT_EQ(config.saved_family(), type);
  }
}

TEST(Families, SmolLm3LeavesOutPositions) {
  ModelConfig config = read("smollm3");
  EXPECT_EQ(config.rope_theta, 2000000);
  EXPECT_EQ(config.num_key_value_heads, 4);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(rotations(config), (std::vector{kGlobal, kGlobal, kGlobal, kNone, kGlobal, kGlobal}));
  EXPECT_FALSE(config.has_windows());
  config = read("smollm3", R"("no_rope_layers": [0, 1, 1, 1, 1, 0], "use_sliding_window": true,
                              "sliding_window": 8)");
  EXPECT_EQ(rotations(config), (std::vector{kNone, kGlobal, kGlobal, kGlobal, kGlobal, kNone}));
  EXPECT_EQ(windows(config), (std::vector<int64_t>{8, 0, 0, 0, 0, 8}));
  // As a Llama, if all layers know positions.
  EXPECT_EQ(read("smollm3", R"("no_rope_layers": [1, 1, 1, 1, 1, 1])").layer(0), LayerConfig());
  expect_error([] { (void)read("smollm3", R"("no_rope_layers": [1])"); },
               {"no_rope_layers is a list of 1", "6 layers"});
}

TEST(Families, OlmoNormsBehindBranches) {
  const ModelConfig olmo2 = read("olmo2");
  EXPECT_TRUE(!olmo2.norms_inputs && olmo2.norms_outputs);
  EXPECT_TRUE(olmo2.qk_norm && olmo2.qk_norm_together);
  EXPECT_EQ(olmo2.rms_norm_eps, 1e-5);
  EXPECT_FALSE(olmo2.has_windows());
  const ModelConfig olmo3 = read("olmo3", R"("sliding_window": 8, "rope_theta": 70000,
      "rope_scaling": {"rope_type": "linear", "factor": 2})");
  EXPECT_EQ(windows(olmo3), (std::vector<int64_t>{8, 8, 8, 0, 8, 8}));
  EXPECT_EQ(rotations(olmo3), (std::vector{kLocal, kLocal, kLocal, kGlobal, kLocal, kLocal}));
  EXPECT_EQ(olmo3.rope_theta, 70000);
  EXPECT_EQ(olmo3.rope_scaling.factor, 2);
  EXPECT_EQ(olmo3.local_rope_theta, 500000);
  EXPECT_TRUE(olmo3.local_rope_scaling.is_default());
  const ModelConfig olmoe = read("olmoe");
  EXPECT_TRUE(olmoe.norms_inputs && olmoe.qk_norm_together && olmoe.layer(5).sparse);
  EXPECT_EQ(olmoe.experts, (ExpertConfig{64, 8, 96, false}));
  expect_error([] { (void)read("olmoe", R"("clip_qkv": 8.0)"); }, {"clip_qkv", "null"});
}

TEST(Families, GraniteHasFactors) {
  const ModelConfig config = read("granite", R"("embedding_multiplier": 12,
      "residual_multiplier": 0.22, "attention_multiplier": 0.0625, "logits_scaling": 8)");
  EXPECT_EQ(config.embedding_scale, 12);
  EXPECT_EQ(config.residual_scale, 0.22);
  EXPECT_EQ(config.score_scale, 0.0625);
  EXPECT_EQ(config.logit_scale, 0.125);
  expect_error([] { (void)read("granite", R"("logits_scaling": 0)"); }, {"logits_scaling"});
}

TEST(Families, Phi3IsALlamaButForItsRotation) {
  EXPECT_EQ(read("phi3").saved_family(), "llama");
  EXPECT_EQ(read("phi3", R"("sliding_window": 8)").saved_family(), "mistral");
  EXPECT_EQ(read("phi3").family(), "phi3");
  const ModelConfig config = read("phi3", R"("partial_rotary_factor": 0.5)");
  EXPECT_EQ(config.rotary_size, 6);
  EXPECT_EQ(config.saved_family(), "phi3");
}

/// The whole text may be as long as the training's: longer ones have other frequencies.
TEST(Families, SizesBeyondReasonAreRefusedBeforeTheyAreUsed) {
  for (const char* type : {"gemma3_text", "smollm3", "qwen3_moe", "gpt_neox"}) {
    for (const char* layers : {"0", "-1", "1000000000000000"}) {
      expect_error([&] { (void)read(type, R"("rotary_pct": 1)", layers); },
                   {"config.json: num_hidden_layers is", "1 to 4096"});
    }
  }
  const auto rope = [](std::string_view settings) {
    (void)read("phi3", fmt::format(R"("rope_scaling": {{"type": "longrope", {}}})", settings));
  };
  expect_error([&] { rope(R"("short_factor": [1, 2])"); }, {"config.json", "short_factor"});
  expect_error([&] { rope(R"("long_factor": [1, 2])"); }, {"config.json", "short_factor"});
  for (const char* part : {"0", "-0.5", "1.5", "1e300"}) {
    expect_error([&] { (void)read("phi3", fmt::format(R"("partial_rotary_factor": {})", part)); },
                 {"partial_rotary_factor", "at most 1"});
  }
  expect_error([] { (void)read("gemma2", R"("query_pre_attn_scalar": -1)"); }, {"config.json"});
  expect_error(
      [] { (void)read("mixtral", R"("num_key_value_heads": 2, "num_local_experts": 100000)"); },
      {"experts"});
}

TEST(Families, LongRopeEndsWithTheTrainingsTexts) {
  const ModelConfig config = read("phi3", R"("max_position_embeddings": 131072,
      "partial_rotary_factor": 0.5, "rope_scaling": {"type": "longrope",
      "short_factor": [1, 1.5, 2], "long_factor": [4, 4, 4]})");
  EXPECT_EQ(config.max_position_embeddings, 4096);
  EXPECT_EQ(config.rope_scaling.factor, 32);
  EXPECT_EQ(config.rope_scaling.short_factor, (std::vector<double>{1, 1.5, 2}));
  EXPECT_EQ(config.saved_family(), "phi3");
}

TEST(Families, GemmaOfAllGenerations) {
  const ModelConfig gemma = read("gemma", R"("num_key_value_heads": 2, "hidden_act": "gelu")");
  EXPECT_EQ(gemma.activation, ops::Activation::kGeluTanh);
  EXPECT_EQ(gemma.embedding_scale, static_cast<double>(std::sqrt(48.0f)));
  EXPECT_EQ(gemma.head_dim, 256);
  EXPECT_FALSE(gemma.norms_outputs || gemma.has_windows());
  const ModelConfig gemma2 = read("gemma2", R"("query_pre_attn_scalar": 144,
      "sliding_window": 8, "attn_logit_softcapping": null)");
  EXPECT_TRUE(gemma2.norms_inputs && gemma2.norms_outputs && !gemma2.qk_norm);
  EXPECT_EQ(windows(gemma2), (std::vector<int64_t>{8, 0, 8, 0, 8, 0}));
  EXPECT_EQ(gemma2.score_scale, 1.0 / 12);
  EXPECT_EQ(gemma2.score_cap, 0);
  EXPECT_EQ(gemma2.logit_cap, 30);
  const ModelConfig gemma3 = read("gemma3_text", R"("sliding_window": 8,
      "rope_scaling": {"rope_type": "linear", "factor": 8}, "attn_logit_softcapping": 50.0)");
  EXPECT_TRUE(gemma3.qk_norm && !gemma3.qk_norm_together && gemma3.norms_outputs);
  EXPECT_EQ(windows(gemma3), (std::vector<int64_t>{8, 8, 8, 8, 8, 0}));
  EXPECT_EQ(rotations(gemma3), (std::vector{kLocal, kLocal, kLocal, kLocal, kLocal, kGlobal}));
  EXPECT_EQ(gemma3.rope_theta, 1000000);
  EXPECT_EQ(gemma3.rope_scaling.factor, 8);
  EXPECT_EQ(gemma3.local_rope_theta, 10000);
  EXPECT_EQ(gemma3.score_cap, 0);
  expect_error([] { (void)read("gemma3_text", R"("use_bidirectional_attention": true)"); },
               {"use_bidirectional_attention"});
}

TEST(Families, GemmaWithVisionIsItsLanguageModel) {
  const std::string text = fmt::format(R"({{"model_type": "gemma3", "eos_token_id": [1, 3],
      "architectures": ["Gemma3ForConditionalGeneration"],
      "text_config": {{{}, "num_hidden_layers": 6, "sliding_window": 8}},
      "vision_config": {{}}}})",
                                       kSizes);
  const ModelConfig config = ModelConfig::read(json::Record::parse(text, "config.json"));
  EXPECT_EQ(config.family(), "gemma3_text");
  EXPECT_EQ(config.layer(0).window, 8);
  EXPECT_EQ(config.eos_token_ids, (std::vector<int64_t>{1, 3}));
  expect_error([] { (void)read("gemma3"); }, {"text_config is missing"});
}

TEST(Families, GptsHaveLayerNorms) {
  const ModelConfig gpt2 = ModelConfig::read(json::Record::parse(
      R"({"model_type": "gpt2", "vocab_size": 64, "n_embd": 48, "n_layer": 2, "n_head": 4,
          "n_positions": 32, "layer_norm_epsilon": 1e-3})",
      "config.json"));
  EXPECT_EQ(gpt2.hidden_size, 48);
  EXPECT_EQ(gpt2.intermediate_size, 192);
  EXPECT_EQ(gpt2.max_position_embeddings, 32);
  EXPECT_EQ(gpt2.rms_norm_eps, 1e-3);
  EXPECT_TRUE(gpt2.layer_norm && gpt2.learned_positions && !gpt2.gated && !gpt2.parallel);
  EXPECT_TRUE(gpt2.tie_word_embeddings && gpt2.qkv_bias && gpt2.feed_forward_bias);
  EXPECT_EQ(rotations(gpt2), (std::vector{kNone, kNone}));
  const ModelConfig neox = read("gpt_neox", R"("rotary_pct": 0.5, "rotary_emb_base": 500)");
  EXPECT_TRUE(neox.layer_norm && neox.parallel && !neox.gated && !neox.learned_positions);
  EXPECT_EQ(neox.activation, ops::Activation::kGelu);
  EXPECT_EQ(neox.rotary_size, 6);
  EXPECT_EQ(neox.rope_theta, 500);
  EXPECT_FALSE(read("gpt_neox", R"("rotary_pct": 1, "use_parallel_residual": false)").parallel);
}

TEST(Families, MixturesSayWhichLayersAreSparse) {
  const ModelConfig qwen = read("qwen3_moe", R"("decoder_sparse_step": 2, "num_experts": 16,
      "mlp_only_layers": [3], "norm_topk_prob": true)");
  EXPECT_EQ(qwen.experts, (ExpertConfig{16, 8, 768, true}));
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(qwen.layer(i).sparse, i == 1 || i == 5) << i;
  const ModelConfig mixtral = read("mixtral", R"("num_key_value_heads": 2)");
  EXPECT_EQ(mixtral.experts, (ExpertConfig{8, 2, 96, true}));
  EXPECT_EQ(mixtral.rope_theta, 1000000);
  EXPECT_TRUE(mixtral.layer(0).sparse);
  expect_error(
      [] {
        (void)read("mixtral", R"("num_key_value_heads": 2,
                                             "num_experts_per_tok": 9)");
      },
      {"config.json", "experts of a token"});
}

/// What a family says of itself survives our file.
TEST(Families, SavedOnesAreReadAgain) {
  const std::string kv = R"("num_key_value_heads": 2, "eos_token_id": [3, 4])";
  const TemporaryFolder folder;
  for (const char* type :
       {"llama", "mistral", "ministral", "qwen2", "qwen3", "qwen3_moe", "smollm3", "olmo2", "olmo3",
        "olmoe", "granite", "phi3", "gemma", "gemma2", "gemma3_text", "gpt_neox", "mixtral"}) {
    SCOPED_TRACE(type);
    ModelConfig config = read(type, kv + R"(, "attention_bias": false, "dtype": "float16",
                                             "rotary_pct": 0.5)");
    config.flow = true;
    config.inner_size = 24;
    config.tie_word_embeddings = false;
    config.save(folder / "config.json", "BF16");
    const ModelConfig again = ModelConfig::load(folder / "config.json");
    EXPECT_TRUE(static_cast<const BlockConfig&>(again) == config);
    EXPECT_TRUE(json::different_fields(again, config).empty());
    EXPECT_EQ(again.rope_scaling, config.rope_scaling);
    EXPECT_EQ(again.eos_token_ids, config.eos_token_ids);
    const json::Record record = json::Record::load(folder / "config.json");
    EXPECT_EQ(record.get_string("torch_dtype"), "bfloat16");
    EXPECT_FALSE(record.has("dtype"));
    EXPECT_EQ(record.get_string("model_type"), config.saved_family());
  }
}

}  // namespace
}  // namespace evo::model
