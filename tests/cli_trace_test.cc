// Traces of `evo generate`: as files, replayed, and as pictures.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "files/files.h"
#include "program.h"

namespace evo::testing {
namespace {

using Json = nlohmann::json;

class TraceFile : public ProgramTest {
 protected:
  [[nodiscard]] static std::string generate(const std::string& more) {
    return "generate " + model() + " --temperature 0 " + more;
  }
  /// Windows of a fixed size: what the policy chooses depends on the machine.
  [[nodiscard]] static std::string traced(const std::string& more) {
    return generate("--prompt The --max-tokens 20 --mode exact --window 4 " + more);
  }
  /// A replay's lines on standard output.
  [[nodiscard]] static std::vector<std::string> lines(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> result;
    for (std::string line; std::getline(stream, line);) result.push_back(line);
    return result;
  }
};

TEST_F(TraceFile, HasAHeaderAndALinePerPass) {
  const std::string trace = path("trace.jsonl");
  const Json json = result(traced("--trace " + trace));
  const std::vector<std::string> written = lines(read_bytes(trace));
  const Json header = Json::parse(written.at(0));
  EXPECT_EQ(header.at("format"), "evo-trace");
  EXPECT_EQ(header.at("version"), 1);
  EXPECT_EQ(header.at("mode"), "exact");
  EXPECT_EQ(header.at("prompt"), "The");
  EXPECT_EQ(header.at("axis_x").size(), header.at("code_size").get<size_t>());
  ASSERT_EQ(written.size(), json.at("passes").get<size_t>() + 1);
  std::string text;
  int64_t committed = 0;
  size_t latents = 0;
  for (size_t i = 1; i < written.size(); ++i) {
    const Json pass = Json::parse(written[i]);
    EXPECT_EQ(pass.at("pass"), i - 1);
    text += pass.at("text");
    committed += static_cast<int64_t>(pass.at("committed").size());
    EXPECT_EQ(pass.at("committed_texts").size(), pass.at("committed").size());
    for (const Json& token : pass.at("tokens")) {  // those drafted ahead have no latent code
      const size_t size = token.at("z2").size();
      EXPECT_TRUE(size == 0 || size == 2) << size;
      latents += size > 0;
    }
  }
  EXPECT_GT(latents, 0u);
  EXPECT_EQ(text, json.at("text"));
  EXPECT_EQ(committed, json.at("tokens"));
}

TEST_F(TraceFile, CompressedByName) {
  ASSERT_EQ(run(traced("--trace " + path("plain.jsonl"))).code, 0);
  ASSERT_EQ(run(traced("--trace " + path("packed.jsonl.zst"))).code, 0);
  const std::string plain = read_bytes(path("plain.jsonl"));
  EXPECT_EQ(files::read_text(path("packed.jsonl.zst"), 1 << 24), plain);
  EXPECT_LT(read_bytes(path("packed.jsonl.zst")).size(), plain.size() / 2);
}

TEST_F(TraceFile, ThatCannotBeWrittenStopsBeforeTheWork) {
  for (const std::string option : {"--trace ", "--trace-map "}) {
    expect_refusal(generate("--prompt The " + option + "/proc/none/trace"), 1,
                   {"/proc/none/trace"});
    expect_refusal(generate("--prompt The " + option + path("")), 1, {"it is a folder"});
    expect_refusal(generate("--prompt The " + option + "/dev/null"), 1,
                   {"/dev/null", "not a file"});
  }
  // And a failure later leaves the earlier files as they were.
  write_bytes(path("trace.zst"), "earlier");
  write_bytes(path("map"), "earlier");
  expect_refusal(
      "generate " + path("none") + " --trace " + path("trace.zst") + " --trace-map " + path("map"),
      1, {"none"});
  EXPECT_EQ(read_bytes(path("trace.zst")), "earlier");
  EXPECT_EQ(read_bytes(path("map")), "earlier");
  EXPECT_TRUE(leftovers(path("")).empty());
}

TEST_F(TraceFile, ReplaysWithoutAModel) {
  for (const char* mode : {"ar", "exact", "evo", "diffusion"}) {
    const std::string trace = path("trace.jsonl.zst");
    const Json json = result(
        generate("--prompt The --max-tokens 12 --trace " + trace + " --mode " + std::string(mode)));
    const Outcome outcome = run("generate --replay " + trace);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(lines(outcome.out).size(), json.at("passes").get<size_t>()) << mode;
    EXPECT_EQ(lines(outcome.out).at(0).find("pass 0, "), 0u) << outcome.out;
    EXPECT_EQ(outcome.out.find('\x1b'), std::string::npos) << "no escapes without a terminal";
    const std::string summary =
        fmt::format("[{}: {} tokens in {} passes, ", mode, json.at("tokens").get<int64_t>(),
                    json.at("passes").get<int64_t>());
    EXPECT_NE(outcome.err.find(summary), std::string::npos) << outcome.err;
  }
}

TEST_F(TraceFile, ReplayIsLiveOnATerminal) {
  if (run_shell("command -v script").code != 0) GTEST_SKIP() << "script makes the terminal";
  const std::string trace = path("trace.jsonl");
  const Json json = result(traced("--trace " + trace));
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome =
      run_shell("script -qec \"$EVO generate --replay " + trace + " --pace 100\" /dev/null");
  const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
  EXPECT_GE(waited.count(), json.at("passes").get<double>() / 100);
  EXPECT_EQ(outcome.code, 0) << outcome.out;
  EXPECT_EQ(outcome.out.find("\x1b[JThe"), 0u) << outcome.out;
  const std::string last =
      fmt::format("pass {}, {:.2f} tokens per forward pass", json.at("passes").get<int64_t>() - 1,
                  json.at("tokens_per_forward").get<double>());
  EXPECT_NE(outcome.out.find(last), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("\x1b[38;5;"), std::string::npos) << "drafts have colours";
}

TEST_F(TraceFile, MapIsTheSameFromGenerationAndReplay) {
  const std::string trace = path("trace.jsonl");
  ASSERT_EQ(run(traced("--trace " + trace + " --trace-map " + path("one.svg"))).code, 0);
  ASSERT_EQ(run("generate --replay " + trace + " --trace-map " + path("two.svg")).code, 0);
  ASSERT_EQ(run(traced("--trace-map " + path("three.svg"))).code, 0);
  const std::string map = read_bytes(path("one.svg"));
  EXPECT_NE(map.find("Maturity map: mode exact"), std::string::npos);
  EXPECT_EQ(read_bytes(path("two.svg")), map);
  EXPECT_EQ(read_bytes(path("three.svg")), map);
}

TEST_F(TraceFile, WrongUses) {
  const std::string trace = path("trace.jsonl.zst");
  ASSERT_EQ(run(traced("--trace " + trace)).code, 0);
  const std::string replay = "generate --replay " + trace;
  for (const std::string option :
       {"--prompt a", "--prefix a", "--suffix a", "--edit 0:1", "--mode ar", "--balance 0",
        "--seed 1", "--max-tokens 5", "--json", "--trace b", "--threads 1"}) {
    expect_refusal(replay + " " + option, 2,
                   {"--replay", option.substr(0, option.find(' ')), "leave it out"});
  }
  expect_refusal(replay + " " + model(), 2, {"--replay", "model"});
  for (const char* pace : {"0", "-1", "nan", "inf", "1001"}) {
    expect_refusal(replay + " --pace " + pace, 2, {"--pace", pace, "expected"});
  }
  expect_refusal(traced("--pace 3"), 2, {"--pace", "--replay"});
  expect_refusal(traced("--trace a --trace-map a"), 2, {"two different files"});
  expect_refusal("generate", 2, {"model folder", "--replay"});

  expect_refusal("generate --replay " + path("none"), 1, {"none", "No such file"});
  write_bytes(path("text.jsonl"), "The cat.\n");
  expect_refusal("generate --replay " + path("text.jsonl"), 1, {"text.jsonl", "line 1"});
  const std::string packed = read_bytes(trace);
  write_bytes(path("cut.jsonl.zst"), packed.substr(0, packed.size() / 2));
  expect_refusal("generate --replay " + path("cut.jsonl.zst") + " --trace-map " + path("map"), 1,
                 {"cut.jsonl.zst", "ends too early"});
  EXPECT_FALSE(fs::exists(path("map")));
}

}  // namespace
}  // namespace evo::testing
