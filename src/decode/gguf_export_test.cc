#include "decode/gguf_export.h"

#include "base/testing.h"
#include "decode/loaded_model.h"
#include "model/testing.h"
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

TEST(GgufExport, Formats) {
  const TemporaryFolder folder;
  model::ModelConfig config = backbone_config("llama");
  config.intermediate_size = 64;
  model::Model model(config, false);
  testing::randomize(model, 3, 0.1f);
  model.save(folder / "model");
  std::vector<uint64_t> sizes;
  for (const char* format : {"F32", "F16", "BF16", "Q8_0"}) {
    const auto path = folder / "m.gguf";
    write_gguf(path, export_of(folder / "model", format));
    sizes.push_back(std::filesystem::file_size(path));
    const auto arrays = weights::open_arrays(path);
    EXPECT_EQ(arrays->find("model.layers.1.mlp.up_proj.weight")->dtype, format);
    EXPECT_EQ(arrays->find("model.norm.weight")->dtype, "F32");
    const model::Model copy = model::Model::load(path);
    // Matrices are below 0.1 * 6: half a step of bf16 there is 2^-10, of Q8_0 0.6 / 127 / 2.
    const std::span<const float> a = copy.parameters().values(), b = model.parameters().values();
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 0.003f) << format;
  }
  EXPECT_GT(sizes[0], sizes[1]);
  EXPECT_EQ(sizes[1], sizes[2]);
  EXPECT_GT(sizes[2], sizes[3]);
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
  const json::Record granite = json::Record::parse(
      R"({"model_type": "granite", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64,
          "num_hidden_layers": 1, "num_attention_heads": 2, "logits_scaling": 8})",
      "config.json");
  model::Model(model::ModelConfig::read(granite), false).save(folder / "granite");
  expect_error([&] { write_gguf(folder / "m.gguf", export_of(folder / "granite", "F32")); },
               {"granite is not written as GGUF"});
  config = backbone_config("llama");
  config.hidden_size = 48;
  model::Model(config, false).save(folder / "narrow");
  expect_error([&] { write_gguf(folder / "m.gguf", export_of(folder / "narrow", "Q8_0")); },
               {"rows of 48", "Q8_0"});
  EXPECT_FALSE(std::filesystem::exists(folder / "m.gguf"));
}

}  // namespace
}  // namespace evo::decode
