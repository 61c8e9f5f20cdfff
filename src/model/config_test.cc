#include "model/config.h"

#include <cmath>
#include <functional>

#include "base/testing.h"
#include "json/fields.h"
#include "model/layout.h"
#include "model/testing.h"

namespace evo::model {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;
using testing::tiny_config;

TEST(ModelConfig, Llama3Has8030261248BackboneParameters) {
  EXPECT_EQ(model_cost(ModelConfig::preset("8b"), 1).backbone_parameters, 8'030'261'248);
}

TEST(ModelConfig, EveryPresetIsPossibleAndHasItsSize) {
  // The size that the name promises, the flow excluded, within a factor of 1.25.
  const std::pair<const char*, double> sizes[] = {{"7m", 7e6},     {"15m", 15e6},   {"30m", 30e6},
                                                  {"110m", 110e6}, {"124m", 124e6}, {"1b", 1.034e9},
                                                  {"8b", 8e9},     {"demo", 1e6}};
  for (const auto& [name, size] : sizes) {
    const ModelConfig config = ModelConfig::preset(name);
    EXPECT_NO_THROW(config.validate()) << name;
    const auto found = static_cast<double>(model_cost(config, 1).backbone_parameters);
    EXPECT_TRUE(found < 1.25 * size && found > size / 1.25) << name << ": " << found;
  }
  EXPECT_EQ(ModelConfig::preset_names().size(), std::size(sizes));
  expect_error<UsageError>([] { ModelConfig::preset("9m"); }, {"9m", "demo, 7m, 15m, 30m"});
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
  config.qk_norm = false;
  config.qkv_bias = true;
  EXPECT_EQ(model_cost(config, 1).backbone_parameters, 2 * (layer + 4 + 2 + 2) + 2 * 40 + 4);
  config.flow = false;
  EXPECT_EQ(model_cost(config, 1).flow_parameters, 0);
}

TEST(ModelCost, CountsTheParametersThatAModelHas) {
  for (int variant = 0; variant < 12; ++variant) {
    ModelConfig config = countable_config();
    config.tie_word_embeddings = (variant & 1) != 0;
    config.flow = (variant & 2) != 0;
    config.qk_norm = variant / 4 == 1;
    config.qkv_bias = variant / 4 == 2;
    config.window_places = variant % 3;
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

/// A config.json of another program with the shape 3 layers, 48 wide, 4 heads, and `more` members.
ModelConfig loaded(std::string_view model_type, std::string_view more = "",
                   std::string_view generation = "") {
  const TemporaryFolder folder;
  testing::write_bytes(folder / "config.json",
                       fmt::format(R"({{"model_type": "{}", "vocab_size": 64, "hidden_size": 48,
                       "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
                       "use_cache": true{}{}}})",
                                   model_type, more.empty() ? "" : ", ", more));
  if (!generation.empty()) testing::write_bytes(folder / "generation_config.json", generation);
  return ModelConfig::load(folder / "config.json");
}

TEST(ModelConfig, FamiliesHaveTheirDefaults) {
  const ModelConfig llama = loaded("llama");
  EXPECT_EQ(llama.num_key_value_heads, 4);
  EXPECT_EQ(llama.head_dim, 12);  // the hidden size over the heads
  EXPECT_EQ(llama.max_position_embeddings, 2048);
  EXPECT_EQ(llama.rms_norm_eps, 1e-6);
  EXPECT_EQ(llama.rope_theta, 10000);
  EXPECT_FALSE(llama.tie_word_embeddings || llama.qk_norm || llama.qkv_bias || llama.flow);
  EXPECT_EQ(llama.family(), "llama");

  const std::string kv = R"("num_key_value_heads": 2)";
  const ModelConfig mistral = loaded("mistral", kv);
  EXPECT_EQ(mistral.sliding_window, 4096);
  EXPECT_EQ(mistral.layer(0).window, 4096);
  EXPECT_EQ(mistral.max_position_embeddings, 131072);
  EXPECT_EQ(mistral.family(), "mistral");
  EXPECT_EQ(loaded("mistral", kv + R"(, "sliding_window": null)").sliding_window, 0);

  const ModelConfig qwen2 = loaded("qwen2", kv + R"(, "sliding_window": 32)");
  EXPECT_TRUE(qwen2.qkv_bias && !qwen2.qk_norm);
  EXPECT_EQ(qwen2.sliding_window, 0);  // use_sliding_window is false
  EXPECT_EQ(qwen2.family(), "qwen2");

  const ModelConfig qwen3 = loaded("qwen3", kv);
  EXPECT_TRUE(qwen3.qk_norm && !qwen3.qkv_bias);
  EXPECT_EQ(qwen3.head_dim, 128);
  EXPECT_EQ(qwen3.family(), "qwen3");
}

TEST(ModelConfig, ArchitectureStandsInForTheModelType) {
  const TemporaryFolder folder;
  const auto load = [&](std::string_view names) {
    testing::write_bytes(folder / "config.json",
                         fmt::format(R"({{"architectures": {}, "vocab_size": 64, "hidden_size": 48,
                         "intermediate_size": 96, "num_hidden_layers": 3,
                         "num_attention_heads": 4, "num_key_value_heads": 4}})",
                                     names));
    return ModelConfig::load(folder / "config.json");
  };
  EXPECT_TRUE(load(R"(["Qwen2ForCausalLM"])").qkv_bias);
  EXPECT_TRUE(load(R"(["Qwen2ForCausalLM", "Qwen2Model"])").qkv_bias);
  EXPECT_TRUE(load(R"(["Qwen2Model"])").qkv_bias);
  EXPECT_EQ(load("[]").family(), "llama");
  expect_error([&] { (void)load(R"(["MambaForCausalLM"])"); },
               {"architectures is MambaForCausalLM", "llama", "mixtral"});
}

TEST(ModelConfig, SlidingWindowOfQwen) {
  const std::string window = R"("num_key_value_heads": 2, "use_sliding_window": true,
                                "sliding_window": 16)";
  ModelConfig config = loaded("qwen2", window + R"(, "max_window_layers": 2)");
  EXPECT_EQ(config.layer(1).window, 0);
  EXPECT_EQ(config.layer(2).window, 16);
  config = loaded("qwen2", window);  // 28 layers without
  EXPECT_EQ(config.sliding_window, 0);
  config = loaded("qwen3", window + R"(, "layer_types": ["full_attention", "sliding_attention",
                                          "sliding_attention"])");
  EXPECT_EQ(config.max_window_layers, 1);
  config = loaded("qwen3", window + R"(, "layer_types": ["sliding_attention", "full_attention",
                                          "sliding_attention"])");
  EXPECT_EQ(config.layer(0).window, 16);
  EXPECT_EQ(config.layer(1).window, 0);
  EXPECT_EQ(config.layer(2).window, 16);
  EXPECT_TRUE(config.has_windows());
  expect_error([&] { (void)loaded("qwen3", window + R"(, "layer_types": ["full_attention"])"); },
               {"layer_types is a list of 1", "one for each of 3 layers"});
  expect_error(
      [&] {
        (void)loaded("qwen3", window + R"(, "layer_types": ["full_attention", "full_attention",
                                              "chunked_attention"])");
      },
      {"layer_types", "'chunked_attention'", "full_attention or sliding_attention"});
}

TEST(ModelConfig, RopeScalingInBothSpellings) {
  const std::string llama3 = R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
      "high_freq_factor": 4.0, "original_max_position_embeddings": 512, "rope_theta": 500000.0})";
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const ModelConfig config = loaded("llama", fmt::format(R"("{}": {})", key, llama3));
    EXPECT_EQ(config.rope_scaling.rope_type, "llama3");
    EXPECT_EQ(config.rope_scaling.factor, 8);
    EXPECT_EQ(config.rope_scaling.original_max_position_embeddings, 512);
    EXPECT_EQ(config.rope_theta, 500000);
  }
  const auto type = [](std::string_view text) {
    return loaded("llama", fmt::format(R"("rope_scaling": {})", text)).rope_scaling;
  };
  EXPECT_EQ(type(R"({"type": "linear", "factor": 2})").rope_type, "linear");
  EXPECT_TRUE(type(R"({"type": "dynamic", "factor": 2})").is_default());
  EXPECT_TRUE(type("null").is_default());
  const ops::RopeScaling yarn = type(R"({"type": "yarn", "factor": 4, "attention_factor": null})");
  EXPECT_EQ(yarn.original_max_position_embeddings, 2048);  // as long as the texts
  EXPECT_EQ(yarn.beta_fast, 32);
  EXPECT_EQ(type(R"({"type": "yarn", "original_max_position_embeddings": 512})").factor, 4);
  EXPECT_TRUE(type("{}").is_default());
  EXPECT_TRUE(type(R"({"factor": 2})").is_default());  // as `transformers` has it
  EXPECT_EQ(type(R"({"rope_type": "llama3", "factor": 8})").original_max_position_embeddings, 2048);
  expect_error([&] { type(R"({"type": "mrope", "factor": 2})"); }, {"config.json", "rope_type"});
  expect_error([&] { type(R"({"type": "linear"})"); }, {"config.json: rope_scaling", "factor"});
  expect_error([&] { type(R"({"type": "linear", "factor": 2, "partial_rotary_factor": 0.5})"); },
               {"partial_rotary_factor is 0.5"});
  expect_error([&] { type(R"({"full_attention": {}})"); }, {"by layer type"});
}

TEST(ModelConfig, RefusesWhatChangesTheMaths) {
  const std::pair<const char*, const char*> wrong[] = {
      {"hidden_act", "\"relu\""},
      {"quantization_config", "{\"bits\": 4}"},
      {"partial_rotary_factor", "0.5"},
      {"architectures", "[\"LlamaForTokenClassification\"]"},
      {"rope_theta", "0"},
      {"num_key_value_heads", "3"},
      {"sliding_window", "\"wide\""}};
  for (const auto& [key, value] : wrong) {
    expect_error([&, k = key, v = value] { loaded("llama", fmt::format("\"{}\": {}", k, v)); },
                 {"config.json", key});
  }
  expect_error([] { loaded("mamba"); }, {"model_type is mamba", "llama, mistral", "mixtral"});
  EXPECT_NO_THROW(loaded("llama", R"("hidden_act": "silu", "attention_bias": false,
                                     "quantization_config": null)"));
}

TEST(ModelConfig, SpecialTokens) {
  ModelConfig config = loaded("llama", R"("bos_token_id": 1, "eos_token_id": 2)");
  EXPECT_EQ(config.bos_token_id, 1);
  EXPECT_EQ(config.eos_token_ids, (std::vector<int64_t>{2}));
  config = loaded("llama", R"("bos_token_id": 1, "eos_token_id": [2, 5, 99, -1])");
  EXPECT_EQ(config.eos_token_ids, (std::vector<int64_t>{2, 5}));  // of 64 tokens
  config = loaded("llama", R"("bos_token_id": 1, "eos_token_id": 2)",
                  R"({"bos_token_id": null, "eos_token_id": [7, 8]})");
  EXPECT_EQ(config.bos_token_id, 1);
  EXPECT_EQ(config.eos_token_ids, (std::vector<int64_t>{7, 8}));
  expect_error([] { loaded("llama", R"("eos_token_id": "</s>")"); }, {"eos_token_id"});
  expect_error([] { loaded("llama", "", "{"); }, {"generation_config.json", "not valid JSON"});
}

/// What a family says of itself survives our file.
TEST(ModelConfig, SavedFamiliesAreReadAgain) {
  const std::string kv = R"("num_key_value_heads": 2, "eos_token_id": [3, 4])";
  const std::string yarn = R"(, "rope_scaling": {"rope_type": "yarn", "factor": 4, "mscale": 0.5,
      "mscale_all_dim": 0.7, "beta_fast": 16, "truncate": false})";
  const std::string window = R"(, "use_sliding_window": true, "sliding_window": 16,
      "max_window_layers": 2)";
  const TemporaryFolder folder;
  for (const ModelConfig& config :
       {loaded("llama", kv + yarn), loaded("mistral", kv), loaded("qwen2", kv),
        loaded("qwen2", kv + window), loaded("qwen3", kv + window)}) {
    config.save(folder / "config.json", "BF16");
    const ModelConfig again = ModelConfig::load(folder / "config.json");
    EXPECT_EQ(again.family(), config.family());
    EXPECT_EQ(listing(again), listing(config));
    EXPECT_EQ(again.eos_token_ids, config.eos_token_ids);
    EXPECT_TRUE(json::different_fields(again.rope_scaling, config.rope_scaling).empty());
    EXPECT_EQ(json::Record::load(folder / "config.json").get_string("torch_dtype"), "bfloat16");
  }
}

TEST(ModelConfig, FileErrorsNameTheFile) {
  const TemporaryFolder folder;
  const std::string path = folder / "config.json";
  expect_error([&] { (void)ModelConfig::load(path); }, {path});
  testing::write_bytes(path, R"({"vocab_size": )");
  expect_error([&] { (void)ModelConfig::load(path); }, {path});
  testing::write_bytes(path, R"({"vocab_size": 64})");
  expect_error([&] { (void)ModelConfig::load(path); }, {path, "hidden_size is missing"});
  expect_error([&] { (void)loaded("llama", R"("head_dim": "wide")"); },
               {"config.json", "head_dim"});
}

}  // namespace
}  // namespace evo::model
