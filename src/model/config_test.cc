#include "model/config.h"

#include <cmath>
#include <functional>

#include "io/testing.h"
#include "model/testing.h"

namespace evo {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;
using testing::tiny_config;

TEST(ModelConfig, Llama3Has8030261248BackboneParameters) {
  EXPECT_EQ(model_cost(ModelConfig::preset("8b"), 1).backbone_parameters, 8'030'261'248);
}

TEST(ModelConfig, EveryPresetIsPossibleAndHasItsSize) {
  // The size that the name promises, the flow excluded, within a factor of 1.25.
  const std::pair<const char*, double> sizes[] = {{"7m", 7e6},     {"30m", 30e6}, {"124m", 124e6},
                                                  {"1b", 1.034e9}, {"8b", 8e9},   {"demo", 1e6}};
  for (const auto& [name, size] : sizes) {
    const ModelConfig config = ModelConfig::preset(name);
    EXPECT_NO_THROW(config.validate()) << name;
    const auto found = static_cast<double>(model_cost(config, 1).backbone_parameters);
    EXPECT_TRUE(found < 1.25 * size && found > size / 1.25) << name << ": " << found;
  }
  EXPECT_EQ(ModelConfig::preset_names().size(), std::size(sizes));
  expect_error<UsageError>([] { ModelConfig::preset("9m"); }, {"9m", "demo, 7m, 30m"});
}

/// V = 10, D = 4, F = 6, 2 layers, H = 2, G = 1, e = 2, d = 2, K = 4, R = 3.
ModelConfig countable_config() {
  ModelConfig config;
  config.vocab_size = 10;
  config.hidden_size = 4;
  config.intermediate_size = 6;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  config.head_dim = 2;
  config.code_size = 2;
  config.time_features = 4;
  config.inner_size = 3;
  return config;
}

TEST(ModelCost, CountsParametersByHand) {
  ModelConfig config = countable_config();
  // Per layer: q, o 4 x 4, k, v 2 x 4, gate, up, down 6 x 4, two norms of 4. Then the table 10 x 4
  // and the last norm.
  const int64_t layer = 2 * 16 + 2 * 8 + 3 * 24 + 2 * 4;
  EXPECT_EQ(model_cost(config, 1).backbone_parameters, 2 * layer + 40 + 4);
  // Codes 10 x 2, evolve_in 4 x 8, modulation 2 x 16 x 4, inner 6 x 8 and 4 x 3, maturity 7.
  EXPECT_EQ(model_cost(config, 1).flow_parameters, 20 + 32 + 128 + 48 + 12 + 7);
  config.tie_word_embeddings = false;
  config.qk_norm = true;
  EXPECT_EQ(model_cost(config, 1).backbone_parameters, 2 * (layer + 4) + 2 * 40 + 4);
  config.flow = false;
  EXPECT_EQ(model_cost(config, 1).flow_parameters, 0);
}

TEST(ModelCost, CountsTheParametersThatAModelHas) {
  for (int variant = 0; variant < 8; ++variant) {
    ModelConfig config = countable_config();
    config.tie_word_embeddings = (variant & 1) != 0;
    config.qk_norm = (variant & 2) != 0;
    config.flow = (variant & 4) != 0;
    const Model model(config, false);
    const ModelCost cost = model_cost(config, 1);
    EXPECT_EQ(cost.backbone_parameters + cost.flow_parameters,
              std::ssize(model.parameters().values()))
        << variant;
  }
}

TEST(ModelCost, CountsOperationsByHand) {
  const ModelCost cost = model_cost(countable_config(), 10);
  // Products of a token: the matrices of both layers and the head; two FLOPs per weight.
  const double products = 2 * (2 * (2 * 16 + 2 * 8 + 3 * 24) + 40);
  // A key costs 2 heads x 2 multiply-adds for its score, as many for its value, in both layers.
  const double key = 2 * 2 * (2 * 2 + 2 * 2);
  EXPECT_EQ(cost.decode_flops_per_token, products + 10 * key);
  EXPECT_EQ(cost.kv_cache_bytes_per_token, 2 * 2 * 2 * 4);  // layers, k and v, G e, f32

  const double mature = products + 5 * key;  // sees half of the sequence on average
  // Modulation and evolve_in; z . c(v) and the mean code.
  const double evolving = mature + 2 * (128 + 32) + 2 * 20 + 2 * 20;
  // The inner field's matrices forward and twice backward; its head forward and to its input, no
  // gradient of the head; z . c(v) and the mean code, no gradient.
  const double inner = 3 * 2 * 60 + 2 * 2 * 40 + 2 * 20 + 2 * 20;
  EXPECT_EQ(cost.training_flops_per_token, 3 * mature + 3 * evolving + inner);
  EXPECT_EQ(cost.first_pass_flops_per_token, mature - 2 * 40 + evolving);
}

TEST(ModelCost, AnAutoregressiveModelTrainsOneStream) {
  ModelConfig config = countable_config();
  config.flow = false;
  const ModelCost cost = model_cost(config, 10);
  EXPECT_EQ(cost.training_flops_per_token, 3 * (560 + 5 * 32));
  EXPECT_EQ(cost.first_pass_flops_per_token, 0);
}

void expect_rejected(const std::function<void(ModelConfig&)>& change, std::string_view part) {
  ModelConfig config = tiny_config(16);
  ASSERT_NO_THROW(config.validate());
  change(config);
  expect_error([&] { config.validate(); }, {part});
}

TEST(ModelConfig, RejectsImpossibleShapes) {
  expect_rejected([](ModelConfig& c) { c.vocab_size = 1; }, "vocab_size");
  expect_rejected([](ModelConfig& c) { c.hidden_size = 0; }, "hidden_size");
  expect_rejected([](ModelConfig& c) { c.intermediate_size = -1; }, "intermediate_size");
  expect_rejected([](ModelConfig& c) { c.num_hidden_layers = 0; }, "num_hidden_layers");
  expect_rejected([](ModelConfig& c) { c.num_key_value_heads = 3; }, "num_key_value_heads");
  expect_rejected([](ModelConfig& c) { c.num_key_value_heads = 0; }, "num_key_value_heads");
  expect_rejected([](ModelConfig& c) { c.head_dim = 7; }, "head_dim");
  expect_rejected([](ModelConfig& c) { c.max_position_embeddings = 1; }, "max_position");
  expect_rejected([](ModelConfig& c) { c.rms_norm_eps = NAN; }, "rms_norm_eps");
  expect_rejected([](ModelConfig& c) { c.rope_theta = NAN; }, "rope_theta");
  expect_rejected([](ModelConfig& c) { c.code_size = 1; }, "code_size");
  expect_rejected([](ModelConfig& c) { c.time_features = 5; }, "time_features");
  expect_rejected([](ModelConfig& c) { c.inner_size = 0; }, "inner_size");
}

/// Every setting as "name=value;", from the one place that knows them all.
struct Listing {
  std::string text;
  template <class T>
  void operator()(const char* name, const T& value, const char* /*help*/) {
    text += fmt::format("{}={};", name, value);
  }
};

std::string listing(ModelConfig config) {
  Listing list;
  config.visit(list);
  return list.text;
}

TEST(ModelConfig, SurvivesItsFile) {
  const TemporaryFolder folder;
  ModelConfig config = tiny_config(77);
  config.rms_norm_eps = 1.25e-6;
  config.rope_theta = 123456.5;
  config.qk_norm = true;
  config.time_features = 10;
  config.save(folder / "config.json");
  EXPECT_EQ(listing(ModelConfig::load(folder / "config.json")), listing(config));
  // Without the stream, the file does not speak of it.
  config.flow = false;
  config.save(folder / "config.json");
  EXPECT_FALSE(ModelConfig::load(folder / "config.json").flow);
}

TEST(ModelConfig, ReadsFilesOfOtherPrograms) {
  const TemporaryFolder folder;
  testing::write_bytes(folder / "config.json",
                       R"({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
                           "vocab_size": 64, "hidden_size": 48, "intermediate_size": 96,
                           "num_hidden_layers": 3, "num_attention_heads": 4,
                           "num_key_value_heads": 2, "use_cache": true, "bos_token_id": 1})");
  const ModelConfig config = ModelConfig::load(folder / "config.json");
  EXPECT_EQ(config.head_dim, 12);  // not said: the hidden size over the heads
  EXPECT_TRUE(config.qk_norm);     // of every Qwen3
  EXPECT_FALSE(config.flow);
  EXPECT_EQ(config.num_hidden_layers, 3);
}

TEST(ModelConfig, FileErrorsNameTheFile) {
  const TemporaryFolder folder;
  const std::string path = folder / "config.json";
  expect_error([&] { (void)ModelConfig::load(path); }, {path});
  testing::write_bytes(path, R"({"vocab_size": )");
  expect_error([&] { (void)ModelConfig::load(path); }, {path});
  testing::write_bytes(path, R"({"vocab_size": 64, "hidden_size": "wide"})");
  expect_error([&] { (void)ModelConfig::load(path); }, {path, "hidden_size"});
}

}  // namespace
}  // namespace evo
