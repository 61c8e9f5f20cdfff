// evo tokenizer: files of any form, encoding, checking.
#include <nlohmann/json.hpp>

#include "program.h"
#include "tokenizer/tokenizer_samples.h"

namespace evo::testing {
namespace {

class CliTokenizer : public ProgramTest {
 protected:
  std::string trained() {
    write_bytes(path("text.txt"), kText);
    EXPECT_EQ(run("tokenizer train --data " + path("text.txt") + " --vocab-size 270 --out " +
                  path("tokenizer.json"))
                  .code,
              0);
    return path("tokenizer.json");
  }

  static constexpr const char* kText = "the cat and the hat and the bat, that is that\n";
};

TEST_F(CliTokenizer, CheckRoundTripsAndMeasures) {
  const Outcome outcome = run("tokenizer check --json " + trained() + " " + path("text.txt"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto result = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(result.at("bytes"), std::string(kText).size());
  EXPECT_EQ(result.at("round_trip"), true);
  EXPECT_GT(result.at("encode_mb_per_s").get<double>(), 0);
  EXPECT_NEAR(result.at("bytes_per_token").get<double>() * result.at("tokens").get<double>(),
              result.at("bytes").get<double>(), 1e-6);
  const Outcome shown = run("tokenizer check " + trained() + " " + path("text.txt"));
  EXPECT_NE(shown.out.find("bytes per token"), std::string::npos) << shown.out;
}

TEST_F(CliTokenizer, CheckNamesWhereTheTextDiffers) {
  auto document = nlohmann::json::parse(read_bytes(trained()));
  document["normalizer"] = {{"type", "Lowercase"}};
  write_bytes(path("lower.json"), document.dump());
  write_bytes(path("upper.txt"), "the Cat");
  const Outcome outcome =
      run("tokenizer check --json " + path("lower.json") + " " + path("upper.txt"));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("from byte 4 on"), std::string::npos) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out).at("round_trip"), false);
}

TEST_F(CliTokenizer, SpecialTokensAreTextUnlessAskedFor) {
  const std::string encode = "tokenizer encode " + trained() + " --text '<|endoftext|>'";
  const auto vocabulary =
      nlohmann::json::parse(read_bytes(path("tokenizer.json")))["model"]["vocab"];
  const std::string end = std::to_string(vocabulary["<|endoftext|>"].get<int>()) + "\n";
  EXPECT_NE(run(encode).out, end);
  EXPECT_EQ(run(encode + " --special").out, end);
}

TEST_F(CliTokenizer, SentencePieceFramesAText) {
  write_bytes(path("tokenizer.model"), sentencepiece_file(sample_pieces()));
  const std::string encode = "tokenizer encode " + path("tokenizer.model") + " --text the";
  EXPECT_EQ("1 " + run(encode).out, run(encode + " --framed").out);
  EXPECT_EQ(run_shell("$EVO " + encode + " | $EVO tokenizer decode " + path("tokenizer.model")).out,
            "the");
}

TEST_F(CliTokenizer, FilesBecomeATokenFile) {
  const std::string encode = "tokenizer encode " + trained() + " --data " + path("text.txt");
  EXPECT_EQ(run(encode + " --out " + path("text.tokens")).code, 0);
  EXPECT_EQ(read_bytes(path("text.tokens")).substr(0, 8), "EVOTOKEN");
  expect_refusal(encode, 2, {"--out"});
  expect_refusal(encode + " --out x --special", 2, {"--special"});
  expect_refusal("tokenizer encode " + trained() + " --text a --out x", 2, {"--data"});
}

TEST_F(CliTokenizer, HelpListsTheOptions) {
  for (const char* option : {"--special", "--framed", "--data", "--out", "--threads"}) {
    EXPECT_NE(run("tokenizer encode --help").out.find(option), std::string::npos) << option;
  }
  EXPECT_NE(run("tokenizer check --help").out.find("--json"), std::string::npos);
}

}  // namespace
}  // namespace evo::testing
