#include "hub/choose_files.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "hub/gguf_names.h"

namespace evo::hub {
namespace {

using evo::testing::expect_error;

std::vector<RemoteFile> listed(const std::vector<std::string>& paths) {
  std::vector<RemoteFile> files;
  for (const std::string& path : paths) files.push_back({path, 1 << 20, std::string(40, 'a')});
  return files;
}

std::vector<std::string> chosen(const std::vector<std::string>& paths, const std::string& name) {
  std::vector<std::string> result;
  for (const RemoteFile& file : choose_files(listed(paths), parse_model_name(name)).files)
    result.push_back(file.path);
  return result;
}

using Paths = std::vector<std::string>;

TEST(ChooseFiles, AFolderIsWhatAModelNeeds) {
  EXPECT_EQ(chosen({"README.md", "config.json", "generation_config.json", "model.safetensors",
                    "consolidated.safetensors", "model.fp16.safetensors", "pytorch_model.bin",
                    "tokenizer.json", "tokenizer.model", "spiece.model", "merges.txt",
                    "chat_template.jinja", "onnx/model.onnx", "sub/config.json", "x.gguf"},
                   "a/b"),
            (Paths{"config.json", "generation_config.json", "tokenizer.json", "tokenizer.model",
                   "spiece.model", "merges.txt", "chat_template.jinja", "model.safetensors"}));
}

TEST(ChooseFiles, OneFileIsPreferredToAnIndexAsTransformersDoes) {
  const Choice choice =
      choose_files(listed({"config.json", "model.safetensors", "model.safetensors.index.json"}),
                   parse_model_name("a/b"));
  EXPECT_EQ(choice.index, "");
  EXPECT_EQ(choice.files.size(), 2u);
  EXPECT_EQ(
      choose_files(listed({"config.json", "model.safetensors.index.json"}), parse_model_name("a/b"))
          .index,
      kWeightsIndex);
}

TEST(ChooseFiles, ShardsAreThoseOfTheIndex) {
  const auto files = listed({"a-1.safetensors", "a-2.safetensors", "b-1.safetensors"});
  const auto shards = shards_of(
      R"({"weight_map": {"x": "a-2.safetensors", "y": "a-1.safetensors", "z": "a-2.safetensors"}})",
      "index", files);
  ASSERT_EQ(shards.size(), 2u);
  EXPECT_EQ(shards[0].path, "a-1.safetensors");
  EXPECT_EQ(shards[1].path, "a-2.safetensors");
  expect_error([&] { (void)shards_of(R"({"weight_map": {"x": "../secret"}})", "index", files); },
               {"index", "../secret", "does not have"});
  for (const char* text : {"{}", "[]", R"({"weight_map": 1})", R"({"weight_map": {"x": 1}})"})
    expect_error([&] { (void)shards_of(text, "index", files); }, {"index"});
}

TEST(ChooseFiles, AGgufFileByItsFormatOrName) {
  const Paths paths = {"m-Q4_K_M.gguf", "m-Q8_0.gguf", "mmproj-m-F16.gguf", "m.imatrix.gguf",
                       "README.md"};
  EXPECT_EQ(chosen(paths, "a/b:Q4_K_M"), Paths{"m-Q4_K_M.gguf"});
  EXPECT_EQ(chosen(paths, "a/b:q8_0"), Paths{"m-Q8_0.gguf"});
  EXPECT_EQ(chosen(paths, "a/b:m-Q8_0.gguf"), Paths{"m-Q8_0.gguf"});
  EXPECT_EQ(chosen(paths, "a/b:mmproj-m-F16.gguf"), Paths{"mmproj-m-F16.gguf"});
  EXPECT_EQ(chosen(paths, "a/b:README.md"), Paths{"README.md"});
  expect_error([&] { (void)chosen(paths, "a/b"); },
               {"a/b has 2 GGUF files", "a/b:Q4_K_M  1.00 MB", "a/b:Q8_0"});
  expect_error([&] { (void)chosen(paths, "a/b:K_M"); }, {"no GGUF files 'K_M'", "a/b:Q4_K_M"});
  EXPECT_EQ(chosen({"x.gguf"}, "a/b"), Paths{"x.gguf"});
}

TEST(ChooseFiles, EndsThatSeveralHaveAreListed) {
  const Paths paths = {"m-Q4_K_XL.gguf", "m-UD-Q4_K_XL.gguf"};
  expect_error([&] { (void)chosen(paths, "a/b:Q4_K_XL"); },
               {"a/b:m-Q4_K_XL.gguf", "a/b:m-UD-Q4_K_XL.gguf"});
  EXPECT_EQ(chosen(paths, "a/b:UD-Q4_K_XL"), Paths{"m-UD-Q4_K_XL.gguf"});
  EXPECT_EQ(chosen(paths, "a/b:m-Q4_K_XL.gguf"), Paths{"m-Q4_K_XL.gguf"});
}

TEST(ChooseFiles, PartsOfAGgufFileStayTogether) {
  const Paths paths = {"Q8_0/m-Q8_0-00002-of-00002.gguf", "Q8_0/m-Q8_0-00001-of-00002.gguf",
                       "m-Q4_0.gguf"};
  EXPECT_EQ(chosen(paths, "a/b:Q8_0"),
            (Paths{"Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf"}));
  EXPECT_EQ(choose_files(listed(paths), parse_model_name("a/b:Q8_0")).model,
            "Q8_0/m-Q8_0-00001-of-00002.gguf");
  expect_error([] { (void)chosen({"m-Q8_0-00002-of-00003.gguf"}, "a/b"); },
               {"3 parts", "1 are there"});
}

TEST(ChooseFiles, SaysWhatThereIsInstead) {
  expect_error(
      [] {
        (void)chosen({"config.json", "pytorch_model.bin"}, "a/b");
      },
      {"a/b", "model.safetensors", "PyTorch"});
  expect_error([] { (void)chosen({"README.md"}, "a/b"); }, {"none among 1 files"});
  expect_error(
      [] {
        (void)chosen({"config.json", "model.safetensors"}, "a/b:x.gguf");
      },
      {"no file 'x.gguf'"});
}

TEST(GgufNames, TellTheFormat) {
  const Paths paths = {"SmolLM2-135M-Instruct.Q4_1.gguf",
                       "b-iq4_nl.gguf",
                       "c-MXFP4_MOE.gguf",
                       "d-bf16.gguf",
                       "e.gguf",
                       "f-Qwen2.gguf",
                       "g-TQ1_0.gguf"};
  Paths formats;
  for (const GgufFile& file : gguf_files(paths)) formats.push_back(file.format);
  EXPECT_EQ(formats, (Paths{"Q4_1", "IQ4_NL", "MXFP4_MOE", "BF16", "", "", "TQ1_0"}));
}

}  // namespace
}  // namespace evo::hub
