#include "weights/gguf/gguf_model.h"

#include <cmath>

#include "weights/gguf/gguf_export.h"
#include "weights/gguf/llama3_scaling.h"
#include "weights/gguf/testing.h"
#include "weights/model_documents.h"

namespace evo::weights {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

void fill_from(std::span<float> out, float first) {
  for (size_t i = 0; i < out.size(); ++i) out[i] = first + static_cast<float>(i);
}

/// Files of one layer, 32 wide, with 4 heads of 8 and 2 key heads; each value is its number.
class GgufModelTest : public ::testing::Test {
 protected:
  static void set_shape(GgufWriter& writer, const std::string& name) {
    writer.set("general.architecture", name);
    writer.set(name + ".context_length", int64_t{64});
    writer.set(name + ".embedding_length", int64_t{32});
    writer.set(name + ".block_count", int64_t{1});
    writer.set(name + ".feed_forward_length", int64_t{48});
    writer.set(name + ".attention.head_count", int64_t{4});
    writer.set(name + ".attention.head_count_kv", int64_t{2});
    writer.set(name + ".attention.layer_norm_rms_epsilon", 1e-5);
    writer.set(name + ".rope.freq_base", 500000.0);
  }
  static void add(GgufWriter& writer, const std::string& name, std::vector<int64_t> shape,
                  const char* format = "F32", float first = 0) {
    writer.add_values(name, std::move(shape), *find_block_format(format),
                      [first](std::span<float> out) { fill_from(out, first); });
  }
  [[nodiscard]] GgufWriter writer(const std::string& name) const {
    GgufWriter made;
    set_shape(made, name);
    add(made, "token_embd.weight", {6, 32});
    return made;
  }
  [[nodiscard]] GgufArrays arrays(const GgufWriter& made) const {
    made.write(path_);
    return GgufArrays(GgufModel(path_));
  }
  [[nodiscard]] json::Record document(const GgufWriter& made, const char* name) const {
    made.write(path_);
    return ModelDocuments(path_).required_record(name);
  }
  [[nodiscard]] std::vector<float> values(const ArraySource& source, const char* name,
                                          const std::vector<int64_t>& shape) const {
    int64_t count = 1;
    for (const int64_t extent : shape) count *= extent;
    std::vector<float> out(static_cast<size_t>(count));
    source.read_f32(name, shape, out);
    return out;
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "model.gguf";
};

TEST_F(GgufModelTest, NamesAreThoseOfFolders) {
  GgufWriter made = writer("qwen3");
  for (const char* part : {"attn_norm", "ffn_norm"})
    add(made, fmt::format("blk.0.{}.weight", part), {32});
  for (const char* part : {"attn_q", "attn_output"})
    add(made, fmt::format("blk.0.{}.weight", part), {32, 32});
  add(made, "blk.0.attn_q.bias", {32});
  add(made, "blk.0.attn_k_norm.weight", {8});
  add(made, "blk.0.ssm_conv1d.weight", {8});
  add(made, "output_norm.weight", {32});
  add(made, "output.weight", {6, 32});
  const GgufArrays source = arrays(made);
  std::vector<std::string> names;
  source.for_each([&](const TensorInfo& info) { names.push_back(info.name); });
  EXPECT_EQ(
      names,
      (std::vector<std::string>{
          "lm_head.weight", "model.blk.0.ssm_conv1d.weight", "model.embed_tokens.weight",
          "model.layers.0.input_layernorm.weight", "model.layers.0.post_attention_layernorm.weight",
          "model.layers.0.self_attn.k_norm.weight", "model.layers.0.self_attn.o_proj.weight",
          "model.layers.0.self_attn.q_proj.bias", "model.layers.0.self_attn.q_proj.weight",
          "model.norm.weight"}));
  EXPECT_EQ(source.find("output.weight"), nullptr);
  EXPECT_EQ(source.find("lm_head.weight")->dtype, "F32");
  expect_error([&] { (void)values(source, "lm_head.weight", {6, 31}); }, {"lm_head", "[6, 31]"});
  expect_error([&] { (void)values(source, "lm.weight", {6}); }, {"lm.weight", "no array"});
}

TEST_F(GgufModelTest, NamesOfOtherNormsAndExperts) {
  const auto name = [](const char* architecture, const char* array, bool experts = false) {
    return folder_name_of(*find_gguf_architecture(architecture, experts), array).value_or("");
  };
  const std::string layer = "model.layers.7.";
  EXPECT_EQ(name("gemma3", "blk.7.ffn_norm.weight"), layer + "pre_feedforward_layernorm.weight");
  EXPECT_EQ(name("gemma3", "blk.7.post_attention_norm.weight"),
            layer + "post_attention_layernorm.weight");
  EXPECT_EQ(name("gemma3", "blk.7.post_ffw_norm.weight"),
            layer + "post_feedforward_layernorm.weight");
  EXPECT_EQ(name("olmo2", "blk.7.post_attention_norm.weight"),
            layer + "post_attention_layernorm.weight");
  EXPECT_EQ(name("phi3", "blk.7.ffn_up.weight"), layer + "mlp.gate_up_proj.weight");
  EXPECT_EQ(name("phi3", "blk.7.attn_qkv.weight"), layer + "self_attn.qkv_proj.weight");
  EXPECT_EQ(name("qwen3moe", "blk.7.ffn_up_exps.weight", true),
            layer + "mlp.experts.*.up_proj.weight");
  EXPECT_EQ(name("llama", "blk.7.ffn_up_exps.weight", true),
            layer + "block_sparse_moe.experts.*.w3.weight");
  EXPECT_EQ(name("llama", "rope_freqs.weight"), "");
  EXPECT_EQ(find_gguf_architecture("bert", false), nullptr);
  for (const char* folder : {"model.layers.7.self_attn.q_proj.bias", "model.norm.weight",
                             "model.layers.7.post_attention_layernorm.weight", "lm_head.weight"}) {
    for (const char* type : {"llama", "mistral", "gemma2", "olmo2", "qwen2"}) {
      const GgufArchitecture& architecture = *gguf_architecture_of(type);
      EXPECT_EQ(folder_name_of(architecture, *gguf_name_of(architecture, folder)), folder) << type;
    }
  }
  EXPECT_FALSE(gguf_name_of(*gguf_architecture_of("llama"), "evo.codes"));
}

/// Rows of a head of 8 lie 0 4 1 5 2 6 3 7, so that pairs are neighbours.
TEST_F(GgufModelTest, RotaryPairsOfLlamaAreTakenApart) {
  for (const char* format : {"F32", "Q8_0", "BF16"}) {
    GgufWriter made = writer("llama");
    const auto rows = [](std::span<float> out) {
      for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i / 32);
    };
    for (const char* part : {"q", "k", "v"}) {
      made.add_values(fmt::format("blk.0.attn_{}.weight", part), {part[0] == 'q' ? 32 : 16, 32},
                      *find_block_format(format), rows);
    }
    add(made, "blk.0.attn_k.bias", {16});
    const GgufArrays source = arrays(made);
    const auto row = [&](const char* name, int64_t count, int64_t r) {
      return values(source, name, {count, 32})[static_cast<size_t>(r * 32)];
    };
    const std::string layer = "model.layers.0.self_attn.";
    for (int64_t r = 0; r < 32; ++r) {
      const int64_t i = r % 8;
      const auto stored = static_cast<float>(r - i + (i < 4 ? 2 * i : 2 * i - 7));
      const float step = stored / 127;  // Q8_0's
      EXPECT_NEAR(row((layer + "q_proj.weight").c_str(), 32, r), stored, step) << format;
      if (r >= 16) continue;
      EXPECT_NEAR(row((layer + "k_proj.weight").c_str(), 16, r), stored, step) << format;
      EXPECT_NEAR(row((layer + "v_proj.weight").c_str(), 16, r), static_cast<float>(r),
                  static_cast<float>(r) / 127)
          << format;
      EXPECT_EQ(values(source, (layer + "k_proj.bias").c_str(), {16})[static_cast<size_t>(r)],
                stored);
    }
    // Only what lies as it is read may be read where it lies.
    EXPECT_TRUE(source.find(layer + "q_proj.weight")->bytes.empty());
    EXPECT_FALSE(source.find(layer + "v_proj.weight")->bytes.empty());
    if (std::string_view(format) != "BF16") continue;
    std::vector<uint16_t> bits(size_t{32} * 32);
    source.read_bf16(layer + "q_proj.weight", {32, 32}, bits);
    EXPECT_EQ(bits[32], 0x4000);  // row 1 is 2
  }
}

TEST_F(GgufModelTest, NormsOfGemmaGiveTheirOneBack) {
  GgufWriter made = writer("gemma3");
  add(made, "blk.0.attn_norm.weight", {32}, "F32", 1);
  const GgufArrays source = arrays(made);
  EXPECT_EQ(values(source, "model.layers.0.input_layernorm.weight", {32})[3], 3);
  EXPECT_EQ(values(source, "model.embed_tokens.weight", {6, 32})[3], 3);
}

TEST_F(GgufModelTest, ExpertsAreArraysOfTheirOwn) {
  GgufWriter made = writer("qwen3moe");
  made.set("qwen3moe.expert_count", int64_t{3});
  add(made, "blk.0.ffn_gate_exps.weight", {3, 5, 32});
  const GgufArrays source = arrays(made);
  const std::vector<float> second =
      values(source, "model.layers.0.mlp.experts.1.gate_proj.weight", {5, 32});
  EXPECT_EQ(second[0], 160);
  EXPECT_EQ(source.find("model.layers.0.mlp.experts.3.gate_proj.weight"), nullptr);
  const json::Record config = document(made, "config.json");
  EXPECT_EQ(config.get_int("num_experts"), 3);
  EXPECT_TRUE(config.get_bool("norm_topk_prob"));
}

TEST_F(GgufModelTest, ConfigOfMetadata) {
  GgufWriter made = writer("llama");
  made.set("llama.rope.dimension_count", int64_t{8});
  const json::Record config = document(made, "config.json");
  EXPECT_EQ(config.get_string("model_type"), "llama");
  EXPECT_EQ(config.get_strings("architectures"), std::vector<std::string>{"LlamaForCausalLM"});
  EXPECT_EQ(config.get_int("vocab_size"), 6);
  EXPECT_EQ(config.get_int("hidden_size"), 32);
  EXPECT_EQ(config.get_int("num_key_value_heads"), 2);
  EXPECT_EQ(config.get_int("head_dim"), 8);
  EXPECT_EQ(config.get_double("rms_norm_eps"), 1e-5);
  EXPECT_EQ(config.get_double("rope_theta"), 500000);
  EXPECT_TRUE(config.get_bool("tie_word_embeddings"));
  EXPECT_FALSE(config.has("rope_scaling") || config.has("attention_bias"));
  add(made, "output.weight", {6, 32});
  add(made, "blk.0.attn_q.bias", {32});
  EXPECT_FALSE(document(made, "config.json").get_bool("tie_word_embeddings"));
  EXPECT_TRUE(document(made, "config.json").get_bool("attention_bias"));
}

TEST_F(GgufModelTest, ConfigOfGemma) {
  GgufWriter made = writer("gemma3");
  made.set("gemma3.attention.key_length", int64_t{16});
  made.set("gemma3.attention.sliding_window", int64_t{512});
  const json::Record config = document(made, "config.json");
  EXPECT_EQ(config.get_string("model_type"), "gemma3_text");
  EXPECT_EQ(config.get_int("head_dim"), 16);
  EXPECT_EQ(config.get_int("query_pre_attn_scalar"), 16);
  EXPECT_EQ(config.get_int("sliding_window"), 512);
  EXPECT_EQ(config.get_string("hidden_activation"), "gelu_pytorch_tanh");
}

TEST_F(GgufModelTest, ops::RopeScaling) {
  GgufWriter linear = writer("llama"), yarn = writer("qwen2"), other = writer("llama");
  linear.set("llama.rope.scaling.type", "linear");
  linear.set("llama.rope.scaling.factor", 4.0);
  EXPECT_EQ(document(linear, "config.json").get_record("rope_scaling").get_double("factor"), 4);
  yarn.set("qwen2.rope.scaling.type", "yarn");
  yarn.set("qwen2.rope.scaling.factor", 2.0);
  yarn.set("qwen2.rope.scaling.original_context_length", int64_t{32});
  const json::Record scaling = document(yarn, "config.json").get_record("rope_scaling");
  EXPECT_EQ(scaling.get_string("rope_type"), "yarn");
  EXPECT_EQ(scaling.get_int("original_max_position_embeddings"), 32);
  other.set("llama.rope.scaling.type", "su");
  other.write(path_);
  expect_error([&] { ModelDocuments{path_}; }, {"rope.scaling.type", "'su'", "yarn"});
}

TEST_F(GgufModelTest, ScalingOfLlama3IsFoundFromItsDivisors) {
  const std::vector<double> divisors = llama3_divisors(500000, 4, {.factor = 32});
  EXPECT_EQ(divisors.front(), 1);  // the quickest pairs are left alone
  EXPECT_EQ(divisors.back(), 32);
  GgufWriter made = writer("llama"), other = writer("llama");
  made.add_values("rope_freqs.weight", {4}, *find_block_format("F32"),
                  [&](std::span<float> out) { std::ranges::copy(divisors, out.begin()); });
  const json::Record scaling = document(made, "config.json").get_record("rope_scaling");
  EXPECT_EQ(scaling.get_string("rope_type"), "llama3");
  EXPECT_EQ(scaling.get_double("factor"), 32);
  EXPECT_EQ(scaling.get_int("original_max_position_embeddings"), 8192);
  add(other, "rope_freqs.weight", {4}, "F32", 1);
  other.write(path_);
  expect_error([&] { ModelDocuments{path_}; }, {"rope_freqs.weight", "Llama 3"});
}

TEST_F(GgufModelTest, SpecialTokensAndSampling) {
  GgufWriter made = writer("qwen2");
  const std::vector<std::string> tokens = {"a", "b", "<end>", "<turn>"};
  made.set("tokenizer.ggml.tokens", tokens);
  made.set("tokenizer.ggml.bos_token_id", int64_t{1});
  made.set("tokenizer.ggml.eos_token_id", int64_t{2});
  made.set("tokenizer.ggml.eot_token_id", int64_t{3});
  made.set("tokenizer.ggml.eom_token_id", int64_t{3});
  made.set("tokenizer.chat_template", "{{ messages }}");
  made.set("general.sampling.temp", 0.6);
  made.set("general.sampling.top_k", int64_t{20});
  const json::Record generation = document(made, "generation_config.json");
  EXPECT_EQ(generation.get_int("bos_token_id"), 1);
  EXPECT_EQ(generation.get_ints("eos_token_id"), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(generation.get_double("temperature"), 0.6);
  EXPECT_EQ(generation.get_int("top_k"), 20);
  const ModelDocuments documents(path_);
  EXPECT_EQ(documents.required_record("tokenizer_config.json").get_string("eos_token"), "<end>");
  EXPECT_EQ(documents.read("chat_template.jinja", 100), "{{ messages }}");
  EXPECT_FALSE(documents.read("chat_template.json", 100) || documents.has("vocab.json"));
  const TemporaryFolder copy;
  constexpr const char* kNames[] = {"chat_template.jinja", "vocab.json"};
  documents.copy(copy.path(), kNames);
  EXPECT_EQ(copy.names(), std::vector<std::string>{"chat_template.jinja"});
  made.set("tokenizer.ggml.padding_token_id", int64_t{4});
  made.write(path_);
  expect_error([&] { ModelDocuments{path_}; }, {"padding_token_id", "4 tokens"});
}

TEST_F(GgufModelTest, WhatNoModelSays) {
  GgufWriter none, unknown, layers = writer("llama"), heads = writer("llama");
  none.write(path_);
  expect_error([&] { GgufModel{path_}; }, {"general.architecture"});
  unknown.set("general.architecture", "bert");
  unknown.write(path_);
  expect_error([&] { GgufModel{path_}; }, {"bert", "qwen2", "gemma3"});
  const std::vector<int32_t> differ = {4, 2};
  layers.set("llama.attention.sliding_window", std::span<const int32_t>(differ));
  layers.write(path_);
  expect_error([&] { ModelDocuments{path_}; }, {"sliding_window", "layer to layer"});
  add(heads, "blk.0.attn_q.weight", {30, 32});
  heads.write(path_);
  expect_error([&] { GgufArrays{GgufModel(path_)}; }, {"attn_q", "30 rows", "4 heads"});
}

class SplitGguf : public GgufModelTest {
 protected:
  [[nodiscard]] std::filesystem::path part(int i) const {
    return folder_ / fmt::format("m-{:05}-of-00002.gguf", i);
  }
  void write_part(int i, int64_t number, int64_t count, int64_t arrays = 2) const {
    GgufWriter made;
    if (i == 1) set_shape(made, "llama");
    made.set("split.no", number);
    made.set("split.count", count);
    if (i == 1) made.set("split.tensors.count", arrays);
    add(made, i == 1 ? "token_embd.weight" : "output_norm.weight", {i == 1 ? 6 : 1, 32});
    made.write(part(i));
  }
};

TEST_F(SplitGguf, AnyPartStandsForAll) {
  write_part(1, 0, 2);
  write_part(2, 1, 2);
  for (const int i : {1, 2}) {
    const GgufArrays source{GgufModel(part(i))};
    EXPECT_EQ(values(source, "model.norm.weight", {1, 32})[5], 5);
    EXPECT_EQ(values(source, "model.embed_tokens.weight", {6, 32})[5], 5);
    EXPECT_EQ(source.path(), part(1));
  }
}

TEST_F(SplitGguf, PartsMustBelongTogether) {
  write_part(1, 0, 2);
  expect_error([&] { GgufModel{part(1)}; }, {"file 2 of 2 is missing", "m-00002-of-00002.gguf"});
  write_part(2, 0, 2);
  expect_error([&] { GgufModel{part(1)}; }, {"file 1 of 2, expected 2 of 2"});
  write_part(2, 1, 3);
  expect_error([&] { GgufModel{part(1)}; }, {"file 2 of 3, expected 2 of 2"});
  write_part(2, 1, 2);
  write_part(1, 0, 2, 3);
  expect_error([&] { GgufModel{part(1)}; }, {"2 arrays, expected 3"});
  std::filesystem::rename(part(1), path_);
  expect_error([&] { GgufModel{path_}; }, {"split in 2 files", "-00001-of-00002.gguf"});
  write_part(1, 0, int64_t{1} << 30);
  expect_error([&] { GgufModel{part(1)}; }, {"split.count"});
}

}  // namespace
}  // namespace evo::weights
