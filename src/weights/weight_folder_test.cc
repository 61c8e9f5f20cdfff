#include "weights/weight_folder.h"

#include "base/testing.h"

namespace evo::weights {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::TemporaryFolder;
using testing::write_bytes;

const std::vector<float> kValues = {1, 2, 3, 4};

/// Two shards: "a" and "b" in the first, "c" in the second.
class Shards : public ::testing::Test {
 protected:
  static constexpr const char* kFirst = "model-00001-of-00002.safetensors";
  static constexpr const char* kSecond = "model-00002-of-00002.safetensors";
  static constexpr const char* kIndexName = "model.safetensors.index.json";

  void SetUp() override {
    write_safetensors(folder_ / kFirst, {{"a", {4}, kValues}, {"b", {2, 2}, kValues}});
    write_safetensors(folder_ / kSecond, {{"c", {4}, kValues, "BF16"}});
    write_index({{"a", kFirst}, {"b", kFirst}, {"c", kSecond}});
  }

  void write_index(std::initializer_list<std::pair<std::string, std::string>> entries) const {
    std::string text;
    for (const auto& [array, shard] : entries)
      text += fmt::format("{}\"{}\": \"{}\"", text.empty() ? "" : ", ", array, shard);
    write_bytes(folder_ / kIndexName, "{\"metadata\": {}, \"weight_map\": {" + text + "}}");
  }

  void expect_refused(std::initializer_list<std::string_view> parts) const {
    expect_error([&] { WeightFolder{folder_.path()}; }, {kIndexName});
    expect_error([&] { WeightFolder{folder_.path()}; }, parts);
  }

  TemporaryFolder folder_;
};

TEST_F(Shards, AreOneSetOfArrays) {
  const WeightFolder weights(folder_.path());
  EXPECT_EQ(weights.files().size(), 2u);
  EXPECT_EQ(weights.path().filename(), kIndexName);
  for (const char* name : {"a", "b", "c"}) {
    std::vector<float> values(4);
    weights.read_f32(name, weights.find(name)->shape, values);
    EXPECT_EQ(values, kValues) << name;
  }
  EXPECT_EQ(weights.find("d"), nullptr);
  std::vector<float> values(4);
  expect_error([&] { weights.read_f32("d", {4}, values); }, {kIndexName, "no array d", "[4]"});
  expect_error([&] { weights.read_f32("b", {4}, values); }, {kFirst, "[2, 2]", "[4]"});
}

TEST_F(Shards, ASingleFileComesFirst) {
  write_safetensors(folder_ / "model.safetensors", {{"d", {4}, kValues}});
  const WeightFolder weights(folder_.path());
  EXPECT_EQ(weights.path(), folder_ / "model.safetensors");
  EXPECT_NE(weights.find("d"), nullptr);
  EXPECT_EQ(weights.find("a"), nullptr);
}

TEST_F(Shards, MissingOrDamagedShard) {
  fs::resize_file(folder_ / kSecond, fs::file_size(folder_ / kSecond) - 1);
  expect_error([&] { WeightFolder{folder_.path()}; }, {kSecond, "incomplete"});
  fs::remove(folder_ / kSecond);
  expect_refused({"c is said to be in", kSecond, "not in the folder"});
  fs::create_symlink(kSecond, folder_ / kSecond);  // to itself
  expect_error([&] { WeightFolder{folder_.path()}; }, {kSecond});
}

TEST_F(Shards, NamesThatAreNoFilesOfTheFolder) {
  for (const char* name :
       {"", ".", "..", "../model.safetensors", "/etc/passwd", "sub/x.safetensors",
        "model.safetensors.index.json", "sub/../model.safetensors", "x.bin"}) {
    write_index({{"a", name}});
    expect_refused({"a is said to be in", name, "same folder"});
  }
}

TEST_F(Shards, TheFilesSayWhatThereIs) {
  const auto expect_all = [&] {
    const WeightFolder weights(folder_.path());
    for (const char* name : {"a", "b", "c"}) {
      std::vector<float> values(4);
      ASSERT_NE(weights.find(name), nullptr) << name;
      weights.read_f32(name, weights.find(name)->shape, values);
      EXPECT_EQ(values, kValues) << name;
    }
    EXPECT_EQ(weights.find("d"), nullptr);
  };
  write_index({{"a", kFirst}, {"b", kSecond}, {"c", kSecond}});  // b is in the first
  expect_all();
  write_index({{"a", kFirst}, {"c", kSecond}});  // b is not listed
  expect_all();
  write_index({{"a", kFirst}, {"b", kFirst}, {"c", kSecond}, {"d", kSecond}});  // d is not there
  expect_all();
}

TEST_F(Shards, TheIndexChoosesAmongTwo) {
  const std::vector<float> others = {5, 6, 7, 8};
  write_safetensors(folder_ / kSecond, {{"a", {4}, others}, {"c", {4}, kValues}});
  for (const char* shard : {kFirst, kSecond}) {
    write_index({{"a", shard}, {"b", kFirst}, {"c", kSecond}});
    std::vector<float> values(4);
    WeightFolder(folder_.path()).read_f32("a", {4}, values);
    EXPECT_EQ(values, shard == kFirst ? kValues : others);
  }
  write_index({{"b", kFirst}, {"c", kSecond}});
  expect_refused({"a is in", kFirst, kSecond, "the index names neither"});
}

TEST_F(Shards, AnIndexThatIsNone) {
  for (const char* text : {"[]", "{}", "{\"weight_map\": []}"}) {
    write_bytes(folder_ / kIndexName, text);
    expect_refused({"weight_map"});
  }
  write_bytes(folder_ / kIndexName, R"({"weight_map": {}})");
  expect_refused({"weight_map is empty"});
  write_bytes(folder_ / kIndexName, R"({"weight_map": {"a": ["x"]}})");
  expect_refused({"a must be the name of a file", "[\"x\"]"});
  write_bytes(folder_ / kIndexName, R"({"weight_map": {"a": "x.safetensors", "a": "x"}})");
  expect_refused({"\"a\"", "twice"});
}

TEST(WeightFolder, WithoutWeights) {
  const TemporaryFolder folder;
  expect_error([&] { WeightFolder{folder.path()}; }, {"model.safetensors", "No such file"});
  write_bytes(folder / "pytorch_model.bin", "x");
  expect_error([&] { WeightFolder{folder.path()}; }, {"found pytorch_model.bin", "safetensors"});
}

}  // namespace
}  // namespace evo::weights
