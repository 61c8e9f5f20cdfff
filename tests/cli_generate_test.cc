// `evo generate` and `evo eval likelihood`: results as other programs read them, and bad input.
#include <nlohmann/json.hpp>
#include <sstream>

#include "program.h"

namespace evo::testing {
namespace {

using Json = nlohmann::json;

Json result(const std::string& arguments) {
  const Outcome outcome = run(arguments + " --json");
  EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.err;
  return Json::parse(outcome.out);
}

class Generate : public ProgramTest {
 protected:
  [[nodiscard]] static std::string generate(const std::string& more) {
    return "generate " + model() + " --temperature 0 " + more;
  }
  [[nodiscard]] static std::string ar_only() { return model("ar-only", "--set flow=false"); }
};

TEST_F(Generate, ReportsEveryNumber) {
  for (const char* mode : {"ar", "exact", "evo", "diffusion"}) {
    const Json json = result(generate("--max-tokens 12 --prompt The --mode " + std::string(mode)));
    EXPECT_EQ(json.at("mode"), mode);
    EXPECT_TRUE(json.at("text").is_string());
    const auto tokens = json.at("tokens").get<int64_t>(), passes = json.at("passes").get<int64_t>();
    ASSERT_GT(tokens, 0) << mode;
    EXPECT_LE(tokens, 12);
    ASSERT_GT(passes, 0);
    EXPECT_EQ(json.at("tokens_per_forward").get<double>(),
              static_cast<double>(tokens) / static_cast<double>(passes));
    EXPECT_GT(json.at("tokens_per_second").get<double>(), 0);
    EXPECT_GT(json.at("ar_nats_per_token").get<double>(), 0);
  }
}

TEST_F(Generate, ShowsPromptAndText) {
  const std::string text = result(generate("--prompt The")).at("text");
  const Outcome shown = run(generate("--prompt The"));
  EXPECT_EQ(shown.out, "The" + text + "\n");
  EXPECT_NE(shown.err.find("tokens/s"), std::string::npos) << shown.err;
}

TEST_F(Generate, TakesAnyPromptThatFits) {
  const Json none = result(generate("--prompt ''"));
  EXPECT_EQ(none.at("text"), result(generate("")).at("text"));
  EXPECT_TRUE(result(generate("--prompt \"$(printf 'caf\\303 \\377\\376 \\355\\240\\200')\""))
                  .at("text")
                  .is_string());
  const Json nothing = result(generate("--prompt The --max-tokens 0"));
  EXPECT_EQ(nothing.at("text"), "");
  EXPECT_EQ(nothing.at("tokens"), 0);
  EXPECT_TRUE(nothing.at("ar_nats_per_token").is_null());
  // The context ends the text: 64 tokens with the prompt and the token that begins every document.
  const Json full = result(generate("--prompt 'The cat sat on the mat' --max-tokens 100000"));
  EXPECT_LT(full.at("tokens").get<int64_t>(), 64);
}

TEST_F(Generate, RefusesBadRequests) {
  expect_refusal(generate("--prompt \"$(yes word | head -300)\""), 1, {"context is 64", "shorten"});
  expect_refusal(generate("--frobnicate 3"), 2, {"--frobnicate"});
  for (const char* balance : {"-0.5", "1.5", "nan", "inf"}) {
    expect_refusal(generate("--balance " + std::string(balance)), 2,
                   {"--balance", balance, "expected 0 to 1"});
  }
  expect_refusal(generate("--balance much"), 2, {"--balance", "much"});
  expect_refusal(generate("--balance 0.5 --mode ar"), 2, {"--mode ar", "contradict", "mode evo"});
  expect_refusal(generate("--mode fast"), 2, {"fast", "expected ar, exact, evo or diffusion"});
  expect_refusal(generate("--max-tokens -1"), 2, {"--max-tokens"});
  expect_refusal(generate("--temperature -1"), 2, {"temperature"});
  expect_refusal(generate("--top-p 1.5"), 2, {"top-p"});
  expect_refusal(generate("--window 0"), 2, {"--window"});
  expect_refusal(generate("--stop ''"), 2, {"--stop"});
}

TEST_F(Generate, BalancePicksTheMode) {
  for (const auto& [balance, mode] :
       {std::pair("0", "exact"), std::pair("0.5", "evo"), std::pair("1", "diffusion")}) {
    EXPECT_EQ(result(generate("--balance " + std::string(balance))).at("mode"), mode);
  }
}

TEST_F(Generate, ModelWithoutFlow) {
  const std::string generate_ar = "generate " + ar_only() + " --max-tokens 4";
  EXPECT_EQ(result(generate_ar).at("mode"), "ar");
  EXPECT_EQ(result(generate_ar + " --mode ar").at("mode"), "ar");
  for (const char* wish : {"--mode exact", "--mode diffusion", "--balance 0.5"}) {
    const Outcome outcome = run(generate_ar + " --json " + wish);
    EXPECT_EQ(outcome.code, 1) << wish;
    EXPECT_NE(outcome.err.find("use --mode ar"), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("flow=true"), std::string::npos) << outcome.err;
  }
}

TEST_F(Generate, TraceHasALinePerPass) {
  const std::string trace = path("trace.jsonl");
  const Json json = result(generate("--prompt The --trace " + trace));
  std::istringstream text(read_bytes(trace));
  int64_t passes = 0, committed = 0;
  for (std::string line; std::getline(text, line);) {
    const Json pass = Json::parse(line);
    EXPECT_EQ(pass.at("pass"), passes++);
    committed += static_cast<int64_t>(pass.at("committed").size());
    for (const char* key : {"drafted", "accepted", "tokens"}) EXPECT_TRUE(pass.contains(key));
  }
  EXPECT_EQ(passes, json.at("passes").get<int64_t>());
  EXPECT_GE(committed, json.at("tokens").get<int64_t>());
}

TEST_F(Generate, TraceThatCannotBeWrittenStopsBeforeTheWork) {
  expect_refusal(generate("--prompt The --trace /proc/none/trace"), 1, {"/proc/none/trace"});
  expect_refusal(generate("--prompt The --trace " + path("")), 1, {"it is a folder"});
  expect_refusal(generate("--prompt The --trace /dev/null"), 1, {"/dev/null", "not a file"});
  // And a failure later leaves the earlier trace as it was.
  write_bytes(path("trace"), "earlier");
  expect_refusal("generate " + path("none") + " --trace " + path("trace"), 1, {"none"});
  EXPECT_EQ(read_bytes(path("trace")), "earlier");
  EXPECT_TRUE(leftovers(path("")).empty());
}

class Likelihood : public ProgramTest {
 protected:
  [[nodiscard]] static std::string score(const std::string& data, const std::string& more) {
    return "eval likelihood " + model() + " --data " + data + " --limit 100 " + more;
  }
};

TEST_F(Likelihood, ReportsEveryNumber) {
  for (const std::string way : {"ar", "diagonal", "block:8", "block:1000000"}) {
    const Json json = result(score(shared("text.txt"), "--path " + way));
    EXPECT_EQ(json.at("path"), way);
    EXPECT_EQ(json.at("bound"), way != "ar");
    EXPECT_EQ(json.at("tokens"), 100);
    EXPECT_GT(json.at("nats_per_token").get<double>(), 0);
    EXPECT_GT(json.at("bits_per_byte").get<double>(), 0);
    EXPECT_GE(json.at("stderr").get<double>(), 0);
  }
}

TEST_F(Likelihood, RefusesBadRequests) {
  write_bytes(path("empty.txt"), "");
  write_bytes(path("blank.txt"), "\n<|endoftext|>\n");
  expect_refusal(score(path("none.txt"), ""), 1, {"none.txt", "No such file"});
  expect_refusal(score(path("empty.txt"), ""), 1, {"empty.txt is empty", "expected a text"});
  expect_refusal(score(path("blank.txt"), ""), 1, {"no text", "--data"});
  for (const char* way : {"block", "block:", "block:0", "block:-1", "block:x", "block:99999999999",
                          "AR", "''", "diagonal:4"}) {
    expect_refusal(score(shared("text.txt"), "--path " + std::string(way)), 2,
                   {"--path", "\"ar\", \"diagonal\" or \"block:N\""});
  }
  expect_refusal(score(shared("text.txt"), "--limit -1"), 2, {"--limit"});
  expect_refusal(score(shared("text.txt"), "--context 0"), 2, {"--context"});
  expect_refusal(score(shared("text.txt"), "--samples 0"), 2, {"--samples"});
  expect_refusal("eval likelihood " + path("none") + " --data " + shared("text.txt"), 1,
                 {"none", "model folder"});
  expect_refusal("eval likelihood " + model(), 2, {"--data", "required"});
}

/// The shortest text there is: one token between the two that enclose a document.
TEST_F(Likelihood, ScoresASingleByte) {
  write_bytes(path("a.txt"), "x");
  const Json json = result(score(path("a.txt"), ""));
  EXPECT_EQ(json.at("tokens"), 2);
  EXPECT_GT(json.at("nats_per_token").get<double>(), 0);
}

TEST_F(Likelihood, ModelWithoutFlowHasOnePath) {
  const std::string eval = "eval likelihood " + model("ar-only", "--set flow=false") + " --data " +
                           shared("text.txt") + " --limit 100";
  EXPECT_EQ(result(eval).at("bound"), false);
  expect_refusal(eval + " --path diagonal", 1, {"no evolving stream", "--path ar"});
}

}  // namespace
}  // namespace evo::testing
