#include "model/sources/family_weights.h"

#include "base/testing.h"
#include "model/model.h"
#include "model/sources/weight_source.h"
#include "model/testing.h"

namespace evo::model {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

/// A tiny model of the family, out of a config.json.
ModelConfig tiny(std::string_view type, std::string_view more) {
  const std::string text =
      fmt::format(R"({{"model_type": "{}", "vocab_size": 20, {}}})", type, more);
  return ModelConfig::read(json::Record::parse(text, "config.json"));
}

constexpr const char* kTinySizes = R"("hidden_size": 16, "intermediate_size": 24, "head_dim": 4,
    "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 32,
    "tie_word_embeddings": false, "rotary_pct": 0.5)";
constexpr const char* kGpt2Sizes = R"("n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 32)";

std::vector<ModelConfig> all_families() {
  const std::string sizes = std::string(kTinySizes) + R"(, "num_key_value_heads": 2)";
  std::vector<ModelConfig> all = {tiny("gpt2", kGpt2Sizes), tiny("gpt_neox", kTinySizes),
                                  tiny("mixtral", sizes)};
  for (const char* type : {"llama", "phi3", "gemma", "gemma2", "gemma3_text", "olmo2"}) {
    all.push_back(tiny(type, sizes));
  }
  return all;
}

Model model_of_family(const ModelConfig& config) {
  Model model(config, false);
  testing::randomize(model, 3, 0.1f);
  return model;
}

bool same_values(const Model& a, const Model& b) {
  return std::ranges::equal(a.parameters().values(), b.parameters().values());
}

TEST(FamilyWeights, SavedModelsAreReadAgain) {
  for (ModelConfig config : all_families()) {
    for (const bool flow : {false, true}) {
      SCOPED_TRACE(config.family());
      config.flow = flow;
      const TemporaryFolder folder;
      const Model model = model_of_family(config);
      model.save(folder.path());
      const Model again = Model::load(folder.path());
      // Norms that are stored less 1 come back from numbers near 0.
      const std::span<float> before = model.parameters().values();
      const std::span<float> after = again.parameters().values();
      ASSERT_EQ(before.size(), after.size());
      for (size_t i = 0; i < before.size(); ++i) ASSERT_NEAR(before[i], after[i], 0x1p-24) << i;
      // And so does a copy of the folder.
      write_model_folder(folder / "copy", folder_source(folder.path(), false), "F32");
      EXPECT_TRUE(same_values(Model::load(folder / "copy"), again));
    }
  }
}

/// The file is what the family's own programs read.
TEST(FamilyWeights, ArraysLieAsTheFamilyHasThem) {
  const TemporaryFolder folder;
  const Model model = model_of_family(tiny("gpt2", kGpt2Sizes));
  model.save(folder.path());
  const weights::SafetensorsFile file(folder / "model.safetensors");
  std::vector<float> fused(16 * 48), biases(48);
  file.read_f32("transformer.h.1.attn.c_attn.weight", {16, 48}, fused);  // [in, q | k | v]
  file.read_f32("transformer.h.1.attn.c_attn.bias", {48}, biases);
  const tensor::Tensor v = model.parameters().tensor("model.layers.1.self_attn.v_proj.weight");
  EXPECT_EQ(fused[5 * 48 + 32 + 7], v.row(7)[5]);
  EXPECT_EQ(biases[32 + 7],
            model.parameters().tensor("model.layers.1.self_attn.v_proj.bias").f32()[7]);
  EXPECT_NE(file.find("transformer.wpe.weight"), nullptr);
  EXPECT_EQ(file.find("model.norm.weight"), nullptr);
}

TEST(FamilyWeights, HeadsOfAKindLieInGroups) {
  const TemporaryFolder folder;
  const Model model = model_of_family(tiny("gpt_neox", kTinySizes));
  model.save(folder.path());
  const weights::SafetensorsFile file(folder / "model.safetensors");
  std::vector<float> fused(48 * 16);
  file.read_f32("gpt_neox.layers.0.attention.query_key_value.weight", {48, 16}, fused);
  // Row 2 of head 3's key: behind three heads and its own query.
  const tensor::Tensor k = model.parameters().tensor("model.layers.0.self_attn.k_proj.weight");
  EXPECT_EQ(fused[(3 * 12 + 4 + 2) * 16 + 9], k.row(3 * 4 + 2)[9]);
}

class Heads : public ::testing::Test {
 protected:
  /// A tied model's file with a head: `values`, or as many of the embedding.
  void write(const std::vector<float>& values, std::string_view dtype) const {
    ModelConfig config = testing::tiny_config(20);
    config.tie_word_embeddings = true;
    config.flow = false;
    const Model model = model_of_family(config);
    model.save(folder_.path());
    std::vector<weights::ArrayToWrite> arrays;
    for (const Parameter& p : model.parameters().list()) {
      arrays.push_back({p.name, p.shape, model.parameters().values_of(p)});
    }
    const std::span<const float> table = arrays[0].values;
    arrays.push_back({"lm_head.weight", arrays[0].shape, values.empty() ? table : values, dtype});
    weights::write_safetensors(folder_ / "model.safetensors", arrays);
  }
  TemporaryFolder folder_;
};

TEST_F(Heads, ATiedModelsFileMayRepeatTheEmbedding) {
  write({}, "F32");
  const Model model = Model::load(folder_.path());
  EXPECT_TRUE(model.config().tie_word_embeddings);
}

TEST_F(Heads, AnotherHeadIsTheHead) {
  const std::vector<float> head(20 * 32, 0.5f);
  for (const char* dtype : {"F32", "BF16"}) {
    write(head, dtype);
    for (const Model& model : {Model::load(folder_.path()),
                               Model::load_packed(folder_.path(), tensor::Precision::kF32)}) {
      EXPECT_FALSE(model.config().tie_word_embeddings);
    }
    EXPECT_EQ(Model::load(folder_.path()).unembedding().value.f32()[7], 0.5f);
    EXPECT_FALSE(folder_source(folder_.path(), true).config.tie_word_embeddings);
  }
}

TEST(FamilyWeights, NamesMayLackThePrefix) {
  ModelConfig config = testing::tiny_config(20);
  config.tie_word_embeddings = true;
  config.flow = false;
  const TemporaryFolder folder;
  const Model model = model_of_family(config);
  model.save(folder.path());
  const auto write = [&](const std::string& prefix, size_t leave_out) {
    std::vector<weights::ArrayToWrite> arrays;
    for (const Parameter& p : model.parameters().list()) {
      const std::string name = prefix + p.name.substr(std::string_view("model.").size());
      arrays.push_back({name, p.shape, model.parameters().values_of(p)});
    }
    arrays.resize(arrays.size() - leave_out);
    weights::write_safetensors(folder / "model.safetensors", arrays);
  };
  for (const char* prefix : {"", "language_model.model.", "model.language_model."}) {
    write(prefix, 0);
    EXPECT_TRUE(same_values(Model::load(folder.path()), model)) << prefix;
  }
  write("", 1);
  expect_error([&] { (void)Model::load(folder.path()); }, {"no array model.norm.weight"});
  ModelConfig fewer = config;
  fewer.num_hidden_layers = 1;
  write("", 0);
  fewer.save(folder / "config.json");
  expect_error([&] { (void)Model::load(folder.path()); }, {"'layers.1.", "has no place"});
}

}  // namespace
}  // namespace evo::model
