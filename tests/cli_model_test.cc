// Damaged, mismatched and incomplete model folders: always exit code 1 and the file's name, never
// a crash, never a text.
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "program.h"

namespace evo::testing {
namespace {

using Json = nlohmann::ordered_json;

/// A safetensors file in parts, to be changed and written again.
struct TensorFile {
  explicit TensorFile(const std::string& bytes) {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    header = Json::parse(bytes.substr(sizeof length, length));
    data = bytes.substr(sizeof length + length);
  }
  [[nodiscard]] std::string bytes() const {
    const std::string text = header.dump();
    const uint64_t length = text.size();
    return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data;
  }
  /// Element `index` of a tensor.
  void put(const std::string& name, size_t index, float value) {
    const auto begin = header.at(name).at("data_offsets").at(0).get<size_t>();
    std::memcpy(data.data() + begin + index * sizeof value, &value, sizeof value);
  }

  Json header;
  std::string data;
};

class BadModel : public ProgramTest {
 protected:
  void SetUp() override {
    fs::copy(model(), folder(), fs::copy_options::recursive);
    good_ = read_bytes(file("model.safetensors"));
  }
  [[nodiscard]] std::string folder() const { return path("copy"); }
  [[nodiscard]] std::string file(const std::string& name) const { return folder() + "/" + name; }

  void expect_refused(std::initializer_list<std::string_view> parts) const {
    expect_refusal("generate " + folder() + " --max-tokens 4 --json", 1, parts);
  }
  void expect_weights_refused(const std::string& bytes,
                              std::initializer_list<std::string_view> parts) const {
    write_bytes(file("model.safetensors"), bytes);
    expect_refused({"copy/model.safetensors"});
    expect_refused(parts);
  }
  void expect_config_refused(const Json& config,
                             std::initializer_list<std::string_view> parts) const {
    write_bytes(file("config.json"), config.dump());
    expect_refused(parts);
  }

  std::string good_;  // model.safetensors
};

TEST_F(BadModel, TheCopyItselfIsGood) {
  const Outcome outcome = run("generate " + folder() + " --max-tokens 4 --json");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  write_bytes(file("model.safetensors"), TensorFile(good_).bytes());
  EXPECT_EQ(run("generate " + folder() + " --max-tokens 4 --json").out.substr(0, 20),
            outcome.out.substr(0, 20));
}

TEST_F(BadModel, NoFolder) {
  expect_refusal("generate " + path("nothing"), 1, {"nothing", "expected a model folder"});
  expect_refusal("generate " + shared("text.txt"), 1, {"expected a model folder", "found a file"});
}

TEST_F(BadModel, WeightsMissingOrCutShort) {
  fs::remove(file("model.safetensors"));
  expect_refused({"copy/model.safetensors", "No such file"});
  expect_weights_refused("", {"is empty", "cut short"});
  expect_weights_refused(good_.substr(0, 7), {"7 bytes", "incomplete"});
  expect_weights_refused(good_.substr(0, 1000), {"incomplete"});
  expect_weights_refused(good_.substr(0, good_.size() - 1), {"incomplete"});
  expect_weights_refused(good_ + "garbage", {"7 bytes after the last array"});
}

TEST_F(BadModel, AbsurdHeaderLength) {
  for (const uint64_t length : {UINT64_MAX, uint64_t{1} << 63, uint64_t{1} << 40}) {
    std::string bytes = good_;
    std::memcpy(bytes.data(), &length, sizeof length);
    expect_weights_refused(bytes, {std::to_string(length), "limit"});
  }
  std::string bytes = good_;
  std::memset(bytes.data(), 0, sizeof(uint64_t));
  expect_weights_refused(bytes, {"not valid JSON"});
}

TEST_F(BadModel, FlippedHeaderBitsAreRefusedOrHarmless) {
  uint64_t length = 0;
  std::memcpy(&length, good_.data(), sizeof length);
  int refused = 0, runs = 0;
  for (uint64_t at = 8; at < 8 + length; at += length / 30) {
    write_bytes(file("model.safetensors"), good_);
    flip_bit(file("model.safetensors"), at, static_cast<int>(at % 7));
    const Outcome outcome = run("generate " + folder() + " --max-tokens 2 --json");
    ++runs;
    if (outcome.code == 0) continue;
    ++refused;
    EXPECT_EQ(outcome.code, 1) << "byte " << at << ": " << outcome.err;
    EXPECT_NE(outcome.err.find("copy/model.safetensors"), std::string::npos) << outcome.err;
  }
  EXPECT_GT(refused, runs * 3 / 4);  // what is harmless: the metadata and the padding
}

TEST_F(BadModel, WeightsThatAreNotNumbers) {
  const std::pair<const char*, const char*> tensors[] = {
      {"model.embed_tokens.weight", "damaged"},
      {"model.norm.weight", "damaged"},
      {"evo.codes", "damaged"},
      {"evo.time.log_snr", "entropic time table"},
      {"evo.unigram", "evo.unigram"},
      {"evo.time.value", "entropic time table"}};
  for (const auto& [name, part] : tensors) {
    TensorFile weights(good_);
    weights.put(name, 1, NAN);
    write_bytes(file("model.safetensors"), weights.bytes());
    expect_refused({"nan", part});
  }
  TensorFile weights(good_);
  weights.put("model.norm.weight", 3, INFINITY);
  expect_weights_refused(weights.bytes(), {"model.norm.weight", "inf at element 3", "damaged"});
}

TEST_F(BadModel, TensorsThatDoNotFit) {
  TensorFile weights(good_);
  weights.header["model.norm.weight"]["shape"] = {4, 8};
  expect_weights_refused(weights.bytes(), {"model.norm.weight", "[4, 8]", "expected [32]"});
  weights.header["model.norm.weight"]["shape"] = {4294967296, 4294967296, 4};
  expect_weights_refused(weights.bytes(), {"model.norm.weight", "too large"});
  weights.header["model.norm.weight"]["shape"] = {INT64_MAX, 2};
  expect_weights_refused(weights.bytes(), {"model.norm.weight", "too large"});
  weights.header["model.norm.weight"]["shape"] = {-32};
  expect_weights_refused(weights.bytes(), {"model.norm.weight", "negative"});
  weights = TensorFile(good_);
  weights.header["model.norm.weight"]["dtype"] = "I32";
  expect_weights_refused(weights.bytes(), {"model.norm.weight", "I32", "expected F32"});
}

TEST_F(BadModel, TensorsThatAreMissing) {
  for (const char* name : {"model.norm.weight", "evo.codes", "evo.time.value", "evo.unigram"}) {
    TensorFile weights(good_);
    Json renamed;
    for (const auto& [key, value] : weights.header.items()) {
      renamed[key == name ? "other" : key] = value;
    }
    weights.header = renamed;
    expect_weights_refused(weights.bytes(), {name});
  }
}

TEST_F(BadModel, WrongTokenizer) {
  fs::remove(file("tokenizer.json"));
  expect_refused({"copy", "no tokenizer", "tokenizer.json", "tokenizer.model"});
  write_bytes(file("tokenizer.json"), "");
  expect_refused({"copy/tokenizer.json"});
  write_bytes(file("tokenizer.json"), "{\"model\":");
  expect_refused({"copy/tokenizer.json", "JSON"});

  // Of another text: with as many tokens as the model, with fewer, and with more.
  write_bytes(path("other.txt"), read_bytes(EVO_SOURCE_DIR "/README.md"));
  for (const int size : {280, 270, 400}) {
    const std::string train = "tokenizer train --data " + path("other.txt") + " --vocab-size " +
                              std::to_string(size) + " --out " + file("tokenizer.json");
    ASSERT_EQ(run(train).code, 0);
    expect_refused({"copy/tokenizer.json", "trained with"});
    expect_refusal("eval likelihood " + folder() + " --data " + shared("text.txt"), 1,
                   {"copy/tokenizer.json", "trained with"});
  }
  // As in a model of another program, which has no fingerprint.
  fs::remove(file("generation_config.json"));
  expect_refused({"copy/tokenizer.json", "tokens, but the model only 280"});
}

TEST_F(BadModel, ConfigThatCannotBeRead) {
  fs::remove(file("config.json"));
  expect_refused({"copy/config.json", "No such file"});
  for (const char* text : {"", "hello", "{\"hidden_size\": 32", "{} {}"}) {
    write_bytes(file("config.json"), text);
    expect_refused({"copy/config.json", "not valid JSON"});
  }
  write_bytes(file("config.json"), "[1]");
  expect_refused({"copy/config.json", "expected a JSON object"});
  fs::remove(file("config.json"));
  fs::create_directory(file("config.json"));
  expect_refused({"copy/config.json", "is a folder"});
}

TEST_F(BadModel, ConfigOfTheWrongTypes) {
  const Json good = Json::parse(read_bytes(file("config.json")));
  const std::pair<const char*, Json> wrong[] = {{"hidden_size", "32"},
                                                {"hidden_size", 32.5},
                                                {"vocab_size", 1e30},
                                                {"rms_norm_eps", "small"},
                                                {"num_hidden_layers", {1}},
                                                {"tie_word_embeddings", 1},
                                                {"max_position_embeddings", false},
                                                {"model_type", 3},
                                                {"evo", 3}};
  for (const auto& [key, value] : wrong) {
    Json config = good;
    config[key] = value;
    expect_config_refused(config, {"copy/config.json", key, "must be"});
  }
}

TEST_F(BadModel, ConfigThatContradictsItselfOrTheWeights) {
  const Json good = Json::parse(read_bytes(file("config.json")));
  const auto with = [&](const char* key, const Json& value) {
    Json config = good;
    config[key] = value;
    return config;
  };
  expect_config_refused(with("num_key_value_heads", 3), {"must divide num_attention_heads"});
  expect_config_refused(with("head_dim", 7), {"head_dim must be even"});
  expect_config_refused(with("hidden_size", -32), {"hidden_size must be"});
  expect_config_refused(with("num_hidden_layers", 0), {"num_hidden_layers is 0", "expected 1 to"});
  expect_config_refused(with("vocab_size", 9000), {"expected [9000, "});
  expect_config_refused(with("num_hidden_layers", 2), {"model.layers.1"});
  expect_config_refused(with("tie_word_embeddings", false), {"lm_head.weight"});
  expect_config_refused(with("hidden_act", "swoosh"), {"hidden_act is swoosh"});
  expect_config_refused(with("model_type", "gpt2"), {"architectures is LlamaForCausalLM"});
  expect_config_refused(with("model_type", "qwen2"), {"architectures is LlamaForCausalLM"});
  expect_config_refused(with("rope_scaling", {{"rope_type", "spiral"}}),
                        {"rope_type must be default"});
  expect_config_refused(with("attention_bias", true), {"self_attn.", "_proj.bias"});
  expect_config_refused(with("qkv_bias", true), {"self_attn.", "_proj.bias"});
  Json config = with("hidden_size", 1 << 20);
  config["intermediate_size"] = 1 << 22;  // hundreds of terabytes, which nobody asks for
  expect_config_refused(config, {"expected [1048576"});
  config = good;
  config["evo"]["code_sise"] = 16;
  expect_config_refused(config, {"copy/config.json: evo", "code_sise", "did you mean 'code_size'"});
  // Other programs' keys are none of our business, but then ours is missing.
  config = with("hidden_sise", 32);
  config.erase("hidden_size");
  expect_config_refused(config, {"copy/config.json", "hidden_size is missing"});
}

/// The weights in two files with an index, as large models of other programs come.
void shard(const std::string& folder) {
  const TensorFile whole(read_bytes(folder + "/model.safetensors"));
  Json map, header[2];
  std::string data[2];
  int count = 0;
  for (const auto& [name, entry] : whole.header.items()) {
    if (name == "__metadata__") continue;
    const int part = count++ % 2;
    const auto begin = entry["data_offsets"][0].get<size_t>();
    const auto end = entry["data_offsets"][1].get<size_t>();
    header[part][name] = entry;
    header[part][name]["data_offsets"] = {data[part].size(), data[part].size() + end - begin};
    data[part] += whole.data.substr(begin, end - begin);
    map[name] = "part-" + std::to_string(part) + ".safetensors";
  }
  for (const int part : {0, 1}) {
    TensorFile file = whole;
    file.header = header[part];
    file.data = data[part];
    write_bytes(folder + "/part-" + std::to_string(part) + ".safetensors", file.bytes());
  }
  fs::remove(folder + "/model.safetensors");
  write_bytes(folder + "/model.safetensors.index.json", Json{{"weight_map", map}}.dump());
}

TEST_F(BadModel, ShardsAreTheModel) {
  const std::string command = "generate " + folder() + " --max-tokens 8 --seed 3";
  const std::string text = run(command).out;
  shard(folder());
  const Outcome outcome = run(command);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, text);
  fs::remove(file("part-1.safetensors"));
  expect_refused({"copy/model.safetensors.index.json", "part-1.safetensors", "not in the folder"});
  Json index = Json::parse(read_bytes(file("model.safetensors.index.json")));
  index["weight_map"]["model.norm.weight"] = "../../etc/x.safetensors";
  write_bytes(file("model.safetensors.index.json"), index.dump());
  expect_refused({"../../etc/x.safetensors", "in the same folder"});
}

TEST_F(BadModel, ConvertHalvesTheFileAndKeepsTheRest) {
  const std::string out = path("half");
  for (const char* name : {"LICENSE", "chat_template.json", "tokenizer_config.json"}) {
    write_bytes(file(name), "{}");
  }
  EXPECT_EQ(run("convert " + folder() + " --out " + out).code, 0);
  EXPECT_LT(fs::file_size(out + "/model.safetensors"),
            fs::file_size(file("model.safetensors")) * 2 / 3);
  for (const char* name : {"tokenizer.json", "generation_config.json", "LICENSE",
                           "chat_template.json", "tokenizer_config.json"}) {
    EXPECT_EQ(read_bytes(out + "/" + name), read_bytes(file(name))) << name;
  }
  const Json before = Json::parse(read_bytes(file("config.json")));
  const Json after = Json::parse(read_bytes(out + "/config.json"));
  EXPECT_EQ(after["evo"], before["evo"]);
  EXPECT_EQ(after["torch_dtype"], "bfloat16");
  EXPECT_EQ(run("generate " + out + " --max-tokens 4 --json").code, 0);
  expect_refusal("convert " + folder() + " --out " + out, 1, {"half", "new or empty"});
  expect_refusal("convert " + folder() + " --out " + path("other") + " --weights int3", 2,
                 {"--weights"});
  expect_refusal("convert " + folder() + " --out " + path("other") + " --to zip", 2, {"--to"});
  expect_refusal("convert " + folder() + " --out " + path("other") + " --weights q8_0", 2,
                 {"--to gguf"});
  expect_refusal("convert " + path("nothing") + " --out " + path("other"), 1, {"nothing"});
  expect_refusal("convert " + file("tokenizer.json") + " --out " + path("other"), 2,
                 {"--tokenizer"});
  EXPECT_FALSE(fs::exists(path("other")));
}

/// In f32 nothing is lost, and what only evolving tokens use is left out: so is its text the same
/// in mode ar.
TEST_F(BadModel, ConvertToTheBackboneAlone) {
  const std::string out = path("backbone");
  ASSERT_EQ(run("convert " + folder() + " --out " + out + " --to hf --weights f32").code, 0);
  const Json config = Json::parse(read_bytes(out + "/config.json"));
  EXPECT_FALSE(config.contains("evo"));
  EXPECT_EQ(config["model_type"], "llama");
  EXPECT_EQ(config["architectures"], Json::array({"LlamaForCausalLM"}));
  const TensorFile weights(read_bytes(out + "/model.safetensors"));
  for (const auto& [name, entry] : weights.header.items())
    EXPECT_FALSE(name.starts_with("evo.")) << name;
  const std::string ar = " --max-tokens 12 --seed 5 --mode ar";
  EXPECT_EQ(run("generate " + out + ar).out, run("generate " + folder() + ar).out);
  expect_refusal("generate " + out + " --mode evo", 1, {"evo"});
}

/// One file with everything; every command that takes a folder takes it.
TEST_F(BadModel, ConvertToGgufAndBack) {
  const std::string file = path("model.gguf"), back = path("back");
  ASSERT_EQ(run("convert " + folder() + " --out " + file + " --to gguf --weights f32").code, 0);
  const std::string ar = " --max-tokens 12 --seed 5 --mode ar";
  const Outcome expected = run("generate " + folder() + ar);
  EXPECT_EQ(run("generate " + file + ar).out, expected.out);
  EXPECT_EQ(run("info " + file + " --json").code, 0);
  const std::string text = path("text.txt");
  write_bytes(text, "Once upon a time there was a cat.");
  const Outcome likelihood = run("eval likelihood " + file + " --data " + text + " --json");
  EXPECT_EQ(likelihood.code, 0) << likelihood.err;
  ASSERT_EQ(run("convert " + file + " --out " + back + " --weights f32").code, 0);
  EXPECT_EQ(run("generate " + back + ar).out, expected.out);
  expect_refusal("convert " + folder() + " --out " + file + " --to gguf", 1,
                 {"model.gguf", "new file"});
  write_bytes(file, read_bytes(file).substr(0, 5000));
  expect_refusal("generate " + file, 1, {"model.gguf"});
}

/// Few bits are computed as they are stored unless something else is asked for.
TEST_F(BadModel, ConvertToFewBits) {
  const std::string text = path("text.txt");
  write_bytes(text, "Once upon a time there was a cat. She had a hat and sat on a mat.");
  const auto likelihood = [&](const std::string& model) {
    const Outcome outcome = run("eval likelihood " + model + " --data " + text + " --json");
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.code == 0 ? Json::parse(outcome.out)["nats_per_token"].get<double>() : NAN;
  };
  const double whole = likelihood(folder());
  size_t larger = fs::file_size(this->file("model.safetensors"));
  for (const std::string bits : {"q8", "q4"}) {
    const std::string file = path(bits + ".gguf");
    ASSERT_EQ(run("convert " + folder() + " --out " + file + " --quantize " + bits).code, 0);
    EXPECT_LT(fs::file_size(file), larger);
    larger = fs::file_size(file);
    EXPECT_NEAR(likelihood(file), whole, 0.2 * whole);
    EXPECT_NEAR(likelihood(file + " --precision f32"), likelihood(file), 0.01 * whole);
    EXPECT_EQ(run("generate " + file + " --max-tokens 4").code, 0);
  }
  expect_refusal("convert " + folder() + " --out " + path("x") + " --quantize q8 --to hf", 2,
                 {"--quantize", "--to"});
  expect_refusal("convert " + folder() + " --out " + path("x") + " --quantize q3", 2,
                 {"--quantize", "q4k"});
}

}  // namespace
}  // namespace evo::testing
