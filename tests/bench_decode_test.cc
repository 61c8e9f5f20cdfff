// `evo bench decode` on the built program: its rows, its promise that exact is ar, its rival and
// its wrong uses.
#include <fstream>
#include <nlohmann/json.hpp>

#include "program.h"

namespace evo::testing {
namespace {

using Json = nlohmann::json;

class BenchDecode : public ProgramTest {
 protected:
  /// The result of `--json`; null if the command failed.
  [[nodiscard]] static Json result(const std::string& arguments) {
    const Outcome outcome = run("bench decode --threads 1 --json " + arguments);
    EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.err;
    return outcome.code == 0 ? Json::parse(outcome.out) : Json();
  }
};

TEST_F(BenchDecode, MeasuresEveryModeAndExactIsAr) {
  write_bytes(path("prompts.jsonl"),
              "{\"kind\": \"one\", \"prompt\": \"The cat\"}\n\n{\"prompt\": \"A dog\", \"kind\": "
              "\"two\"}\n{\"prompt\": \"The\", \"kind\": \"one\"}\n");
  for (const std::string precision : {"f32", "bf16", "int8"}) {
    const Json found =
        result(model() + " --max-tokens 12 --batches 1,2 --balances 0.3,0.6 --prompts " +
               path("prompts.jsonl") + " --precision " + precision);
    const Json& rows = found.at("rows");
    // ar and exact with two batch sizes, two balances, diffusion; each for all and for two kinds.
    ASSERT_EQ(rows.size(), 7 * 3);
    for (const Json& row : rows) {
      const std::string mode = row.at("mode");
      EXPECT_EQ(row.at("precision"), precision);
      EXPECT_EQ(row.at("texts"), row.at("kind") == "all" ? 3 : row.at("kind") == "one" ? 2 : 1);
      EXPECT_GT(row.at("tokens_per_second").get<double>(), 0);
      EXPECT_GT(row.at("limit_fraction").get<double>(), 0);
      EXPECT_GT(row.at("ratio_to_ar").get<double>(), 0);
      if (mode == "ar") {
        EXPECT_EQ(row.at("ratio_to_ar"), 1);
        EXPECT_EQ(row.at("rows_per_forward"), 1);
      }
      if (mode == "ar" || mode == "exact") {
        EXPECT_EQ(row.at("texts_equal_to_ar"), row.at("texts")) << row;
      }
    }
  }
}

TEST_F(BenchDecode, ARandomModelNeedsNoFolder) {
  const Json found = result("--random demo --max-tokens 4 --batches 1");
  EXPECT_EQ(found.at("rows").at(0).at("kind"), "all");
  EXPECT_EQ(found.at("rows").at(0).at("tokens"), 16);  // four prompts; such a model ends no text
  EXPECT_GT(found.at("bytes_per_second").get<double>(), 0);
}

TEST_F(BenchDecode, ItsRivalGetsAFileOfTheSameShape) {
  write_bytes(path("rival.sh"), "echo \"$*\" > " + path("arguments") + "\ncp \"$2\" " +
                                    path("copy.gguf") +
                                    "\necho '{\"avg_ts\": 50.0, \"build_number\": 7}'\n");
  const Json found =
      result("--random demo --max-tokens 4 --batches 1 --precision int8 --llama-bench 'sh " +
             path("rival.sh") + "'");
  EXPECT_EQ(found.at("peer"), "llama.cpp build 7");
  EXPECT_EQ(found.at("peer_type"), "Q8_0");
  EXPECT_EQ(found.at("peer_tokens_per_second"), 50);
  const double ours = found.at("rows").at(0).at("tokens_per_second");
  EXPECT_DOUBLE_EQ(found.at("ratio_to_peer"), ours / 50);
  EXPECT_NE(read_bytes(path("arguments")).find("-n 4 -t 1"), std::string::npos);
  const std::string file = read_bytes(path("copy.gguf"));
  EXPECT_EQ(file.substr(0, 4), "GGUF");
  // 934,912 weights of matrices, 34 bytes for 32 of them; norms, names, a vocabulary and padding
  // are the rest.
  EXPECT_GT(file.size(), 934912u / 32 * 34);
  EXPECT_LT(file.size(), 934912u / 32 * 34 + 65536);
  EXPECT_EQ(
      run("bench decode --random demo --precision int8 --llama-model " + path("same.gguf")).code,
      0);
  EXPECT_EQ(read_bytes(path("same.gguf")), file);
}

/// Rounds in processes of their own, whose texts must be the same; the context holds 64 tokens.
TEST_F(BenchDecode, ComparesExactWithArByLength) {
  const Json found = result(model() + " --lengths 8,24,60 --rounds 2 --batches 1,2 --precisions " +
                            "f32,int8 --starts cold,known,warm");
  const Json& rows = found.at("rows");
  ASSERT_EQ(rows.size(), 2 * 2 * 2 * 3);  // 60 tokens have no room
  for (const Json& row : rows) {
    EXPECT_LE(row.at("tokens"), 24);
    EXPECT_EQ(row.at("rounds"), 2);
    EXPECT_EQ(row.at("texts_equal_to_ar"), 2) << row;
    EXPECT_GT(row.at("ratio_to_ar").get<double>(), 0);
    EXPECT_EQ(row.at("exact_tokens_per_second").size(), 2);
  }
  const Outcome table =
      run("bench decode --random demo --lengths 4 --rounds 1 --batches 1 "
          "--precisions int8 --starts cold --threads 1");
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_NE(table.out.find("1/1"), std::string::npos) << table.out;
  expect_refusal("bench decode " + model() + " --lengths 64", 2, {"--lengths", "40"});
  expect_refusal("bench decode " + model() + " --lengths 8 --starts hot", 2, {"--starts"});
  const std::string plain = model("plain", "--set flow=false");
  expect_refusal("bench decode " + plain + " --lengths 8", 1, {"no evolving stream"});
}

TEST_F(BenchDecode, RefusesWhatItCannotMeasure) {
  expect_refusal("bench decode", 2, {"model folder or --random"});
  expect_refusal("bench decode " + model() + " --random demo", 2, {"one of them"});
  expect_refusal("bench decode --random huge", 2, {"huge", "demo, 7m"});
  expect_refusal("bench decode " + model() + " --prompts " + path("none"), 1, {"none", "prompt"});
  write_bytes(path("empty"), "\n");
  expect_refusal("bench decode " + model() + " --prompts " + path("empty"), 1, {"no prompts"});
  write_bytes(path("bad"), "{\"text\": \"x\"}\n");
  expect_refusal("bench decode " + model() + " --prompts " + path("bad"), 1, {"bad:1", "prompt"});
  expect_refusal("bench decode " + model() + " --batches 0", 2, {"--batches"});
  expect_refusal("bench decode --random demo --max-tokens 2 --llama-bench 'exit 3 #'", 1,
                 {"--llama-bench"});
  expect_refusal("bench decode --random demo --max-tokens 2 --llama-bench 'echo nothing #'", 1,
                 {"llama-bench"});
}

}  // namespace
}  // namespace evo::testing
