#include "decode/sampling/generation_defaults.h"

#include <gtest/gtest.h>

#include "base/testing.h"

namespace evo::decode {
namespace {

using testing::expect_error;

GenerationDefaults of(std::string_view json) {
  return GenerationDefaults::of_record(json::Record::parse(json, "generation_config.json"));
}

TEST(GenerationDefaults, AreWhatTheFileSays) {
  const GenerationDefaults all = of(R"({"do_sample": true, "temperature": 0.6, "top_k": 20,
      "top_p": 0.95, "repetition_penalty": 1.05, "eos_token_id": 3})");
  EXPECT_EQ(all.text(), "temperature 0.6, top_k 20, top_p 0.95, repetition_penalty 1.05");
  EXPECT_EQ(all.record().dump(),
            R"({"temperature":0.6,"top_k":20,"top_p":0.95,"repetition_penalty":1.05})");
  EXPECT_TRUE(of(R"({"eos_token_id": 3, "temperature": null, "do_sample": null})").empty());
  EXPECT_EQ(of(R"({"top_k": -1})").top_k, 0);
}

TEST(GenerationDefaults, WithoutSamplingTheyAreGreedy) {
  EXPECT_EQ(of(R"({"do_sample": false, "temperature": 0.6})").temperature, 0);
  EXPECT_EQ(of(R"({"do_sample": true})").temperature, 1);
  EXPECT_EQ(of(R"({"temperature": 0.6})").temperature, 0.6);
}

TEST(GenerationDefaults, ChangeWhatTheySayOnly) {
  DecodeOptions options;
  options.sampler = {.temperature = 0.7, .top_k = 5, .top_p = 0.8};
  of(R"({"top_p": 0.5, "repetition_penalty": 1.2})").apply(options.sampler, options.shape);
  EXPECT_EQ(options.sampler.temperature, 0.7);
  EXPECT_EQ(options.sampler.top_k, 5);
  EXPECT_EQ(options.sampler.top_p, 0.5);
  EXPECT_EQ(options.shape.repetition_penalty, 1.2);
}

TEST(GenerationDefaults, FaultsNameTheKey) {
  const std::pair<const char*, const char*> wrong[] = {
      {"temperature", "-1"}, {"temperature", "\"hot\""},  {"top_p", "0"},    {"top_p", "1.5"},
      {"top_k", "-2"},       {"repetition_penalty", "0"}, {"do_sample", "1"}};
  for (const auto& [key, value] : wrong) {
    expect_error([&, k = key, v = value] { of(fmt::format("{{\"{}\": {}}}", k, v)); },
                 {"generation_config.json", key});
  }
}

TEST(GenerationDefaults, AnEmptyFileIsNone) {
  const testing::TemporaryFolder folder;
  EXPECT_TRUE(GenerationDefaults::load(folder.path()).empty());
  testing::write_bytes(folder / kGenerationConfig, "");
  EXPECT_TRUE(GenerationDefaults::load(folder.path()).empty());
  testing::write_bytes(folder / kGenerationConfig, R"({"temperature": NaN})");
  expect_error([&] { (void)GenerationDefaults::load(folder.path()); }, {"temperature", "nan"});
  testing::write_bytes(folder / kGenerationConfig, R"({"top_p": 0.3, "x": NaN, "top_p": 0.4})");
  EXPECT_EQ(GenerationDefaults::load(folder.path()).top_p, 0.4);
}

}  // namespace
}  // namespace evo::decode
