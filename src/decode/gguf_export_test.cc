#include "decode/gguf_export.h"

#include "base/testing.h"
#include "decode/loaded_model.h"
#include "decode/testing.h"
#include "model/testing.h"
#include "ops/machine.h"
#include "weights/array_source.h"

namespace evo::decode {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;
using testing::tiny_config;

/// One that knows bytes and nothing else.
tokenizer::Tokenizer byte_tokenizer() {
  return tokenizer::Tokenizer::from_merges({});
}

model::ModelConfig backbone_config(const std::string& family) {
  model::ModelConfig config = tiny_config(257);
  config.flow = false;
  config.qkv_bias = family == "qwen2";
  config.qk_norm = family == "qwen3";
  config.rope_theta = 500000;
  return config;
}

GgufExport export_of(const std::filesystem::path& folder, std::string_view format) {
  return {.source = model::folder_source(folder, true),
          .tokenizer = byte_tokenizer(),
          .chat_template = "{{ messages[0].content }}",
          .name = "tiny",
          .format = format};
}

TEST(GgufExport, ComesBackAsTheModelThatItWas) {
  for (const char* family : {"llama", "qwen2", "qwen3"}) {
    const TemporaryFolder folder;
    model::Model model(backbone_config(family), false);
    testing::randomize(model, 3, 0.1f);
    ASSERT_EQ(model.config().family(), family);
    model.save(folder / "model");
    write_gguf(folder / "m.gguf", export_of(folder / "model", "F32"));
    const model::Model copy = model::Model::load(folder / "m.gguf");
    EXPECT_EQ(copy.config().family(), family);
    EXPECT_TRUE(std::ranges::equal(copy.parameters().values(), model.parameters().values()))
        << family;
    const LoadedModel loaded = load_model(folder / "m.gguf", tensor::Precision::kF32);
    EXPECT_EQ(loaded.tokenizer.encode("hello"), byte_tokenizer().encode("hello"));
    EXPECT_EQ(loaded.model.config().eos_token_ids, std::vector<int64_t>{256});
  }
}

/// A small model of a family, all of whose numbers are random.
model::Model model_of(const std::string& family, const std::string& settings) {
  model::Model model(
      model::ModelConfig::read(json::Record::parse(
          R"({"vocab_size": 257, "hidden_size": 32, "intermediate_size": 64, "head_dim": 8,
              "num_attention_heads": 4, "num_key_value_heads": 2, "model_type": ")" +
              family + "\", " + settings + "}",
          "config.json")),
      false);
  testing::randomize(model, 3, 0.1f);
  return model;
}

constexpr std::pair<const char*, const char*> kFamilies[] = {
    {"llama", R"("num_hidden_layers": 2, "attention_bias": true, "mlp_bias": true)"},
    {"gemma", R"("num_hidden_layers": 2)"},
    {"gemma2", R"("num_hidden_layers": 4, "query_pre_attn_scalar": 8, "sliding_window": 16,
                  "attn_logit_softcapping": 20, "final_logit_softcapping": 10)"},
    {"gemma3_text", R"("num_hidden_layers": 7, "query_pre_attn_scalar": 8, "sliding_window": 16,
                       "rope_local_base_freq": 5000,
                       "rope_scaling": {"rope_type": "linear", "factor": 8})"},
    {"olmo2", R"("num_hidden_layers": 2)"},
    {"olmo3", R"("num_hidden_layers": 5, "sliding_window": 16)"},
    {"olmoe", R"("num_hidden_layers": 2, "num_experts": 3, "num_experts_per_tok": 2)"},
    {"granite", R"("num_hidden_layers": 2, "embedding_multiplier": 12, "logits_scaling": 8,
                   "residual_multiplier": 0.22, "attention_multiplier": 0.0078125)"},
    {"smollm3", R"("num_hidden_layers": 5)"},
    {"qwen3_moe", R"("num_hidden_layers": 2, "num_experts": 12, "num_experts_per_tok": 2,
                     "moe_intermediate_size": 24, "norm_topk_prob": true)"},
    {"mixtral", R"("num_hidden_layers": 2, "num_local_experts": 3)"},
};

TEST(GgufExport, EveryFamilyComesBackToTheLastBit) {
  for (const auto& [family, settings] : kFamilies) {
    SCOPED_TRACE(family);
    const TemporaryFolder folder;
    const model::Model model = model_of(family, settings);
    model.save(folder / "model");
    write_gguf(folder / "m.gguf", export_of(folder / "model", "F32"));
    const model::Model copy = model::Model::load(folder / "m.gguf");
    EXPECT_EQ(copy.config().family(), family);
    // Of Gemma's norms the folder holds less, by 1: numbers as both read them.
    const model::Model read = model::Model::load(folder / "model");
    EXPECT_TRUE(std::ranges::equal(copy.parameters().values(), read.parameters().values()));
    const std::vector<int32_t> text = {5, 200, 17, 9, 33, 9, 70, 1, 2,
                                       3, 90,  17, 4, 6,  8, 21, 5, 7};
    EXPECT_EQ(testing::next_logits(copy, text), testing::next_logits(read, text));
  }
}

// What follows from a network's name in GGUF.
TEST(GgufExport, SettingsThatAreOthersInGguf) {
  constexpr std::tuple<const char*, const char*, const char*> kWrong[] = {
      {"gemma3_text", R"("num_hidden_layers": 7, "query_pre_attn_scalar": 9)", "score_scale"},
      {"gemma3_text", R"("num_hidden_layers": 4, "query_pre_attn_scalar": 8,
                         "sliding_window_pattern": 2)",
       "layer 1"},
      {"smollm3", R"("num_hidden_layers": 3, "no_rope_layer_interval": 2)", "rotation of layer 1"},
      {"qwen3_moe",
       R"("num_hidden_layers": 1, "num_experts": 3, "num_experts_per_tok": 2, "norm_topk_prob": false)",
       "norm_topk_prob is 0, but in a GGUF file of a qwen3_moe it can only be 1"},
      {"llama", R"("num_hidden_layers": 1, "hidden_act": "gelu")", "activation"},
      {"qwen3", R"("num_hidden_layers": 1, "attention_bias": true)", "cannot be a GGUF file"},
      {"olmo2", R"("num_hidden_layers": 1, "attention_bias": true)", "no biases beside norms"},
      {"smollm3", R"("num_hidden_layers": 1, "mlp_bias": true)", "no name for the array"},
      {"granite", R"("num_hidden_layers": 1,
                     "rope_scaling": {"rope_type": "yarn", "factor": 2, "beta_fast": 16})",
       "rope_scaling beta_fast"},
      {"gpt_neox", R"("num_hidden_layers": 1)", "model_type is gpt_neox"},
  };
  for (const auto& [family, settings, part] : kWrong) {
    SCOPED_TRACE(part);
    const TemporaryFolder folder;
    model_of(family, settings).save(folder / "model");
    expect_error([&] { write_gguf(folder / "m.gguf", export_of(folder / "model", "F32")); },
                 {"tiny", part});
    EXPECT_EQ(folder.names(), std::vector<std::string>{"model"});
  }
}

/// One whose hidden rows are long enough for blocks of 256.
model::Model save_model(const std::filesystem::path& folder) {
  model::ModelConfig config = backbone_config("llama");
  config.intermediate_size = 256;
  model::Model model(config, false);
  testing::randomize(model, 3, 0.1f);
  model.save(folder);
  return model;
}

TEST(GgufExport, Formats) {
  const TemporaryFolder folder;
  const model::Model model = save_model(folder / "model");
  std::vector<uint64_t> sizes;
  for (const char* format : {"F32", "F16", "BF16", "Q8_0", "Q4_1", "Q4_K"}) {
    const bool is_k = format == std::string("Q4_K"), four = is_k || format == std::string("Q4_1");
    const auto path = folder / "m.gguf";
    write_gguf(path, export_of(folder / "model", format));
    sizes.push_back(std::filesystem::file_size(path));
    const auto arrays = weights::open_arrays(path);
    EXPECT_EQ(arrays->find("model.layers.1.mlp.down_proj.weight")->dtype, format);
    // Its rows are too short for blocks of 256.
    EXPECT_EQ(arrays->find("model.layers.1.mlp.up_proj.weight")->dtype, is_k ? "Q4_1" : format);
    EXPECT_EQ(arrays->find("model.embed_tokens.weight")->dtype, four ? "Q8_0" : format);
    EXPECT_EQ(arrays->find("model.norm.weight")->dtype, "F32");
    const model::Model copy = model::Model::load(path);
    // Matrices are below 0.1 * 6: half a step of bf16 there is 2^-10, of Q8_0 0.6 / 127 / 2, of 4
    // bits less than 1.2 / 15, that of all weights.
    const std::span<const float> a = copy.parameters().values(), b = model.parameters().values();
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], four ? 0.08f : 0.003f) << format;
  }
  EXPECT_GT(sizes[0], sizes[1]);
  EXPECT_EQ(sizes[1], sizes[2]);
  EXPECT_GT(sizes[2], sizes[3]);
}

/// A file's weights in groups are packed as they are, and so the network is that of its numbers but
/// for the rounding of x.
TEST(GgufExport, IsComputedAsStored) {
  const TemporaryFolder folder;
  (void)save_model(folder / "model");
  const std::vector<int32_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6};
  for (const char* format : {"BF16", "Q8_0", "Q4_1", "Q4_K"}) {
    const auto path = folder / "m.gguf";
    write_gguf(path, export_of(folder / "model", format));
    model::Model whole = model::Model::load(path);
    whole.pack(tensor::Precision::kF32);
    const model::Model packed = model::Model::load_packed(path, tensor::Precision::kStored);
    EXPECT_EQ(packed.precision(),
              format == std::string("BF16") ? ops::best_precision() : tensor::Precision::kStored);
    const std::vector<float> expected = testing::next_logits(whole, tokens),
                             logits = testing::next_logits(packed, tokens);
    float largest = 0;
    for (const float value : expected) largest = std::max(largest, std::abs(value));
    // Each of 2 layers and the head rounds x to 2^-8 (bf16) of its largest number or less, and a
    // sum of a dozen roundings is several times less than their sum.
    for (size_t i = 0; i < logits.size(); ++i)
      ASSERT_NEAR(logits[i], expected[i], 0.02f * largest) << format;
  }
}

TEST(GgufExport, RopeScaling) {
  const TemporaryFolder folder;
  for (const char* type : {"linear", "yarn", "llama3"}) {
    model::ModelConfig config = backbone_config("llama");
    config.rope_scaling.rope_type = type;
    config.rope_scaling.factor = 8;
    config.rope_scaling.original_max_position_embeddings = 8192;
    const model::Model model(config, false);
    model.save(folder / type);
    write_gguf(folder / "m.gguf", export_of(folder / type, "F32"));
    const ops::RopeScaling scaling = model::ModelConfig::load(folder / "m.gguf").rope_scaling;
    EXPECT_EQ(scaling.rope_type, type);
    EXPECT_EQ(scaling.factor, 8);
  }
}

TEST(GgufExport, WhatGgufCannotSay) {
  const TemporaryFolder folder;
  model::ModelConfig config = backbone_config("llama");
  config.sliding_window = 16;  // so a Mistral
  model::Model(config, false).save(folder / "windows");
  expect_error([&] { write_gguf(folder / "m.gguf", export_of(folder / "windows", "F32")); },
               {"sliding_window", "16"});
  config = backbone_config("llama");
  config.hidden_size = 48;
  model::Model(config, false).save(folder / "narrow");
  expect_error([&] { write_gguf(folder / "m.gguf", export_of(folder / "narrow", "Q8_0")); },
               {"rows of 48", "Q8_0"});
  EXPECT_FALSE(std::filesystem::exists(folder / "m.gguf"));
}

}  // namespace
}  // namespace evo::decode
