#include "model/sources/weight_source.h"

#include <cmath>
#include <cstring>

#include "base/testing.h"
#include "model/model.h"
#include "model/testing.h"

namespace evo::model {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::TemporaryFolder;
using testing::tiny_config;

TEST(WeightSource, CopyOfAFolderIsTheModel) {
  for (const bool backbone_only : {false, true}) {
    const TemporaryFolder folder;
    ModelConfig config = tiny_config(16);
    config.qkv_bias = true;
    const Model model = testing::tiny_model(config, 7);
    model.save(folder / "model");
    write_model_folder(folder / "copy", folder_source(folder / "model", backbone_only), "F32");
    const Model copy = Model::load(folder / "copy");
    EXPECT_EQ(copy.config().flow, !backbone_only);
    const std::span<float> values = copy.parameters().values();
    EXPECT_TRUE(std::ranges::equal(values, model.parameters().values().first(values.size())));
    if (backbone_only) continue;
    EXPECT_EQ(testing::read_bytes(folder / "copy/model.safetensors"),
              testing::read_bytes(folder / "model/model.safetensors"));
  }
}

TEST(WeightSource, WhatIsNoNumberIsNamed) {
  std::vector<float> values(200'000, 1.0f);
  EXPECT_NO_THROW(require_finite(values, "w", "file"));
  for (const float value : {NAN, -NAN, INFINITY, -INFINITY}) {
    values[150'001] = value;
    expect_error([&] { require_finite(values, "w", "file"); }, {"file", "'w'", "150001"});
  }
}

/// A llama2.c checkpoint of 2 layers, 8 wide, 2 heads of 4, 1 key head, whose every float is its
/// number in the file.
class Llama2c : public ::testing::Test {
 protected:
  static constexpr int32_t kVocabulary = 6, kContext = 3;
  static constexpr int64_t kEmbedding = 6 * 8, kTables = 3 * 4;
  // First norms, q, k, v, o, second norms, gate, down, up.
  static constexpr int64_t kLayers = 2 * (8 + 64 + 32 + 32 + 64 + 8 + 3 * 8 * 10);

  void write(int32_t vocabulary, int64_t floats) const {
    const int32_t header[] = {8, 10, 2, 2, 1, vocabulary, kContext};
    std::string bytes(reinterpret_cast<const char*>(header), sizeof header);
    std::vector<float> values(static_cast<size_t>(floats));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    testing::write_bytes(path_, bytes);
  }

  [[nodiscard]] Model converted() const {
    write_model_folder(folder_ / "out", llama2c_source(path_), "F32");
    return Model::load(folder_ / "out");
  }

  static float first(const Model& model, const char* name) {
    return model.parameters().tensor(name).f32()[0];
  }

  TemporaryFolder folder_;
  fs::path path_ = folder_ / "model.bin";
};

TEST_F(Llama2c, ArraysLieKindByKind) {
  write(kVocabulary, kEmbedding + kLayers + 8 + kTables);
  const Model model = converted();
  EXPECT_EQ(model.config().family(), "llama");
  EXPECT_FALSE(model.config().flow);
  EXPECT_EQ(model.config().max_position_embeddings, kContext);
  EXPECT_EQ(first(model, "model.embed_tokens.weight"), 0);
  EXPECT_EQ(first(model, "model.layers.0.input_layernorm.weight"), 48);
  EXPECT_EQ(first(model, "model.layers.1.input_layernorm.weight"), 56);
  EXPECT_EQ(first(model, "model.layers.1.self_attn.v_proj.weight"), 64 + 2 * 96 + 32);
  EXPECT_EQ(first(model, "model.layers.0.mlp.down_proj.weight"), 464 + 2 * 80);
  EXPECT_EQ(first(model, "model.layers.0.mlp.up_proj.weight"), 464 + 4 * 80);
  EXPECT_EQ(first(model, "model.norm.weight"), 48 + kLayers);
}

TEST_F(Llama2c, RotaryPairsBecomeHalves) {
  write(kVocabulary, kEmbedding + kLayers + 8 + kTables);
  const Model model = converted();
  const tensor::Tensor q = model.parameters().tensor("model.layers.1.self_attn.q_proj.weight");
  const float begin = 64 + 64;  // of the second layer's q
  const int64_t from[] = {0, 2, 1, 3, 4, 6, 5, 7};
  for (int64_t r = 0; r < 8; ++r) {
    for (int64_t c = 0; c < 8; ++c) {
      EXPECT_EQ(q.row(r)[c], begin + static_cast<float>(from[r] * 8 + c));
    }
  }
}

TEST_F(Llama2c, NegativeVocabularyMeansAHeadOfItsOwn) {
  write(-kVocabulary, kEmbedding + kLayers + 8 + kTables + kEmbedding);
  const Model model = converted();
  EXPECT_FALSE(model.config().tie_word_embeddings);
  EXPECT_EQ(first(model, "lm_head.weight"), kEmbedding + kLayers + 8 + kTables);
}

TEST_F(Llama2c, DamagedFiles) {
  const auto open = [&] { (void)llama2c_source(path_); };
  write(kVocabulary, kEmbedding + kLayers + 8 + kTables - 1);
  expect_error(open, {"model.bin", "incomplete"});
  write(kVocabulary, kEmbedding + kLayers + 8 + kTables + 1);
  expect_error(open, {"model.bin", "its header makes"});
  testing::write_bytes(path_, "short");
  expect_error(open, {"model.bin", "5 bytes"});
  const auto with_header = [&](std::initializer_list<int32_t> header) {
    testing::write_bytes(path_, {reinterpret_cast<const char*>(header.begin()), 28});
  };
  with_header({0x616B3432, 2, 0, 0, 0, 0, 0});
  expect_error(open, {"model.bin", "version 2"});
  with_header({8, 10, 2, 0, 0, 6, 3});
  expect_error(open, {"model.bin", "is this a llama2.c checkpoint?"});
  with_header({1 << 20, 1 << 22, 4096, 4096, 4096, INT32_MIN, 1 << 24});
  expect_error(open, {"model.bin"});
  with_header({1 << 20, 1 << 22, 4096, 4096, 4096, 1 << 24, 1 << 24});
  expect_error(open, {"model.bin", "incomplete"});
}

}  // namespace
}  // namespace evo::model
