#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <tuple>

#include "base/testing.h"
#include "model/model.h"
#include "model/testing.h"
#include "weights/safetensors.h"

namespace evo::model {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::TemporaryFolder;
using testing::tiny_config;

bool same_numbers(const Model& a, const Model& b) {
  if (!std::ranges::equal(a.parameters().values(), b.parameters().values())) return false;
  return !a.config().flow || (std::ranges::equal(a.unigram(), b.unigram()) &&
                              a.time().log_snr() == b.time().log_snr() &&
                              a.time().time_values() == b.time().time_values());
}

TEST(ModelFile, RoundTripIsExact) {
  for (int variant = 0; variant < 12; ++variant) {
    const TemporaryFolder folder;
    ModelConfig config = tiny_config(16);
    config.tie_word_embeddings = (variant & 1) != 0;
    config.flow = (variant & 2) != 0;
    config.qk_norm = variant / 4 == 1;
    config.qkv_bias = variant / 4 == 2;
    Model model = testing::tiny_model(config, 7);
    std::vector<float> unigram(16);
    for (size_t i = 0; i < 16; ++i) unigram[i] = static_cast<float>(i + 1) / 136;
    model.set_unigram(unigram);
    model.save(folder / "model");
    const Model loaded = Model::load(folder / "model");
    EXPECT_TRUE(same_numbers(model, loaded)) << variant;
    // Saving again gives the same bytes.
    loaded.save(folder / "again");
    EXPECT_TRUE(testing::read_bytes(folder / "model/model.safetensors") ==
                testing::read_bytes(folder / "again/model.safetensors"));
    EXPECT_EQ(testing::read_bytes(folder / "model/config.json"),
              testing::read_bytes(folder / "again/config.json"));
  }
}

TEST(ModelFile, InBf16MatricesAreRoundedAndTheRestIsExact) {
  const TemporaryFolder folder;
  const Model model = testing::tiny_model(tiny_config(16), 7);
  model.save(folder / "f32");
  model.save(folder / "bf16", "BF16");
  const Model loaded = Model::load(folder / "bf16");
  for (const Parameter& p : model.parameters().list()) {
    const std::span<float> exact = model.parameters().values_of(p);
    const std::span<float> read = loaded.parameters().values_of(p);
    for (size_t i = 0; i < exact.size(); ++i) {
      // Rounded to nearest, with 8 bits of mantissa.
      const float allowed = p.decays() ? std::abs(exact[i]) / 256 : 0.0f;
      ASSERT_TRUE(std::abs(read[i] - exact[i]) <= allowed) << p.name << ' ' << i;
    }
  }
  EXPECT_EQ(loaded.time().log_snr(), model.time().log_snr());
  EXPECT_LT(fs::file_size(folder / "bf16/model.safetensors"),
            fs::file_size(folder / "f32/model.safetensors") * 2 / 3);
}

/// Moves all arrays of a safetensors file by a byte, which the format allows.
void move_arrays(const fs::path& path) {
  std::string bytes = testing::read_bytes(path);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  bytes.insert(sizeof length + length, " ");
  ++length;
  std::memcpy(bytes.data(), &length, sizeof length);
  testing::write_bytes(path, bytes);
}

/// Packed while it is read, a model computes what it does when it is packed afterwards.
TEST(ModelFile, LoadPackedIsLoadAndPack) {
  using Case = std::tuple<bool, const char*, bool>;  // tied embeddings, format, odd addresses
  for (const auto& [tied, weights, odd] : {Case{false, "F32", false}, Case{true, "BF16", false},
                                           Case{false, "BF16", false}, Case{false, "BF16", true}}) {
    for (tensor::Precision precision :
         {tensor::Precision::kF32, tensor::Precision::kBF16, tensor::Precision::kInt8,
          tensor::Precision::kQ8, tensor::Precision::kQ4}) {
      const TemporaryFolder folder;
      ModelConfig config = tiny_config(16);
      config.tie_word_embeddings = tied;
      config.qkv_bias = tied;
      // From a bf16 file to bf16, the numbers are packed as they are.
      testing::tiny_model(config, 7).save(folder / "model", weights);
      if (odd) move_arrays(folder / "model/model.safetensors");
      Model afterwards = Model::load(folder / "model");
      afterwards.pack(precision);
      const Model packed = Model::load_packed(folder / "model", precision);
      ForwardInput input;
      input.ids = {1, 5, 3};
      input.positions = {0, 1, 2};
      input.ranges = {{0, 1, 0, 0}, {0, 2, 0, 0}, {0, 3, 0, 0}};
      tensor::Tape tape(tensor::Tape::Mode::kInference);
      const tensor::Tensor a = packed.forward(tape, input), b = afterwards.forward(tape, input);
      EXPECT_TRUE(std::ranges::equal(a.values(), b.values()));
      const tensor::Tensor la = ops::head_logits(tape, a, 0, 3, packed.unembedding(), nullptr);
      const tensor::Tensor lb = ops::head_logits(tape, b, 0, 3, afterwards.unembedding(), nullptr);
      EXPECT_TRUE(std::ranges::equal(la.values(), lb.values()));
      EXPECT_FALSE(std::isnan(la.values()[0]));
      EXPECT_EQ(packed.pass_bytes(), afterwards.pass_bytes());
    }
  }
}

/// A saved model, and its arrays to be changed and written again.
class DamagedModelFile : public ::testing::Test {
 protected:
  struct Array {
    std::string name;
    std::vector<int64_t> shape;
    std::vector<float> values;
  };

  void SetUp() override {
    testing::tiny_model(tiny_config(16), 7).save(path_);
    const weights::SafetensorsFile file(weights_);
    for (const weights::TensorInfo& info : file.tensors()) {
      int64_t size = 1;
      for (int64_t extent : info.shape) size *= extent;
      arrays_.push_back({info.name, info.shape, std::vector<float>(size)});
      file.read_f32(info.name, info.shape, arrays_.back().values);
    }
  }

  Array& array(std::string_view name) {
    const auto found = std::ranges::find(arrays_, name, &Array::name);
    EVO_CHECK(found != arrays_.end());
    return *found;
  }

  void write() const {
    std::vector<weights::ArrayToWrite> arrays;
    for (const Array& one : arrays_) arrays.push_back({one.name, one.shape, one.values});
    weights::write_safetensors(weights_, arrays);
  }

  void expect_load_error(std::initializer_list<std::string_view> parts) const {
    expect_error([&] { (void)Model::load(path_); }, parts);
  }

  const TemporaryFolder folder_;
  const fs::path path_ = folder_ / "model";
  const fs::path weights_ = path_ / "model.safetensors";
  std::vector<Array> arrays_;
};

TEST_F(DamagedModelFile, UndamagedLoads) {
  write();
  EXPECT_NO_THROW((void)Model::load(path_));
}

TEST_F(DamagedModelFile, MissingFilesAreNamed) {
  expect_error([&] { (void)Model::load(folder_ / "none"); },
               {(folder_ / "none").string(), "found nothing"});
  expect_error([&] { (void)Model::load(weights_); }, {weights_.string(), "found a file"});
  fs::remove(weights_);
  expect_load_error({weights_.string()});
  fs::remove(path_ / "config.json");
  expect_load_error({"config.json"});
}

TEST_F(DamagedModelFile, CutShortIsAnError) {
  fs::resize_file(weights_, fs::file_size(weights_) - 1);
  expect_load_error({weights_.string()});
  fs::resize_file(weights_, 4);
  expect_load_error({weights_.string()});
}

TEST_F(DamagedModelFile, AMissingTensorIsNamed) {
  for (const char* name : {"model.layers.1.mlp.up_proj.weight", "lm_head.weight", "evo.codes",
                           "evo.time.log_snr", "evo.unigram"}) {
    const std::vector<Array> whole = arrays_;
    std::erase_if(arrays_, [&](const Array& one) { return one.name == name; });
    write();
    expect_load_error({weights_.string(), name});
    arrays_ = whole;
  }
}

TEST_F(DamagedModelFile, AWrongShapeIsSaid) {
  Array& codes = array("evo.codes");
  codes.shape = {8, 16};
  write();
  expect_load_error({weights_.string(), "evo.codes", "[8, 16]", "[16, 8]"});
}

TEST_F(DamagedModelFile, WeightsThatAreNoNumbersAreErrors) {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const char* name :
         {"model.embed_tokens.weight", "model.norm.weight", "evo.maturity.weight", "evo.unigram",
          "evo.time.log_snr", "evo.time.value"}) {
      const std::vector<Array> whole = arrays_;
      array(name).values.back() = value;
      write();
      const bool table = std::string_view(name).starts_with("evo.time");
      expect_load_error({weights_.string(), table ? "entropic time" : name});
      arrays_ = whole;
    }
  }
}

/// Also where nothing looks at the numbers one by one.
TEST_F(DamagedModelFile, WeightsThatAreNoNumbersAreErrorsInBf16) {
  for (const char* name : {"model.embed_tokens.weight", "model.layers.1.self_attn.k_proj.weight"}) {
    const std::vector<Array> whole = arrays_;
    array(name).values[7] = std::numeric_limits<float>::quiet_NaN();
    std::vector<weights::ArrayToWrite> arrays;
    for (const Array& one : arrays_)
      arrays.push_back({one.name, one.shape, one.values, one.shape.size() == 2 ? "BF16" : "F32"});
    weights::write_safetensors(weights_, arrays);
    expect_error([&] { (void)Model::load_packed(path_, tensor::Precision::kBF16); },
                 {weights_.string(), name, "element 7"});
    arrays_ = whole;
  }
}

TEST_F(DamagedModelFile, ArraysThatTheModelHasNoUseFor) {
  for (const char* name : {"model.layers.0.self_attn.q_proj.bias", "lm_head.bias"}) {
    const std::vector<Array> whole = arrays_;
    arrays_.push_back({name, {32}, std::vector<float>(32, 1.0f)});
    write();
    expect_load_error({weights_.string(), name, "no place"});
    arrays_ = whole;
  }
}

TEST_F(DamagedModelFile, TimeTablesMustFitTogether) {
  Array& times = array("evo.time.value");
  times.values.pop_back();
  times.shape[0] -= 1;
  write();
  expect_load_error({"knots"});
}

TEST_F(DamagedModelFile, AShapeOfTheConfigurationThatTheWeightsLackIsAnError) {
  ModelConfig config = tiny_config(16);
  config.num_hidden_layers = 3;
  config.save(path_ / "config.json");
  expect_load_error({weights_.string(), "model.layers.2."});
  config.num_hidden_layers = 1;
  config.save(path_ / "config.json");
  expect_load_error({weights_.string(), "model.layers.1.", "no place"});
  config = tiny_config(17);
  config.save(path_ / "config.json");
  expect_load_error({"model.embed_tokens.weight", "[16, 32]", "[17, 32]"});
}

}  // namespace
}  // namespace evo::model
