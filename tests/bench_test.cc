// `evo bench train` on the built program: what it makes of peers that are slow, wrong, stuck or
// missing. The peers are small scripts, so that the right answer is known.
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "program.h"

namespace evo::testing {
namespace {

using Json = nlohmann::json;

// The smallest work that is a training step; the demo preset has these many parameters.
const std::string kBench = "bench train --batch 1 --sequence 16 --steps 1 --warm-up 1 --threads 1 ";
constexpr int64_t kDemoParameters = 1072387, kDemoArParameters = 935040;

/// The rows of `--json`; none if the command failed.
Json rows(const std::string& arguments) {
  const Outcome outcome = run(kBench + "--json " + arguments);
  EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.err;
  if (outcome.code != 0) return Json::array();
  return Json::parse(outcome.out).at("rows");
}

std::string measurement(double rate, double memory, int64_t parameters, double others = 0) {
  const Json result = {{"tokens_per_second", rate},
                       {"peak_rss_mb", memory},
                       {"parameters", parameters},
                       {"other_cores", others}};
  return "echo '" + result.dump() + "'";
}

class Bench : public ::testing::Test {
 protected:
  /// A peer for --peer; `cases` are the branches of a shell `case` over all of its arguments.
  [[nodiscard]] std::string peer(const std::string& cases) const {
    std::ofstream(folder_ / "peer.sh")
        << "echo \"$*\" >> " << (folder_ / "calls").string() << "\necho noise\necho noise >&2\n"
        << "case \"$*\" in\n--probe) echo '{\"peer\": \"Script 1.0\"}';;\n"
        << cases << "\nesac\n";
    return "--peer 'sh " + (folder_ / "peer.sh").string() + "' ";
  }

  TemporaryFolder folder_;
};

TEST_F(Bench, TheFastestVariantCounts) {
  const Json found = rows("--presets demo --precision f32 " +
                          peer("*compile*) " + measurement(200, 400, kDemoParameters, 0.5) +
                               ";;\n*) " + measurement(100, 300, kDemoParameters) + ";;") +
                          "--variants eager-matmul,compiled-matmul");
  ASSERT_EQ(found.size(), 1);
  const Json& row = found[0];
  const double ours = row.at("tokens_per_second");
  EXPECT_GT(ours, 0);
  EXPECT_EQ(row.at("parameters"), kDemoParameters);
  EXPECT_GT(row.at("gemm_peak_fraction").get<double>(), 0);
  EXPECT_EQ(row.at("peer"), "Script 1.0");
  EXPECT_EQ(row.at("peer_variant"), "compiled-matmul");
  EXPECT_EQ(row.at("peer_tokens_per_second"), 200);
  // Quotients of the very numbers in the row: equal but for rounding.
  EXPECT_DOUBLE_EQ(row.at("ratio").get<double>(), ours / 200);
  EXPECT_DOUBLE_EQ(row.at("memory_ratio").get<double>(), row.at("peak_rss_mb").get<double>() / 400);
  ASSERT_EQ(row.at("peer_variants").size(), 2);
  EXPECT_EQ(row.at("peer_variants")[0].at("tokens_per_second"), 100);
  EXPECT_EQ(row.at("peer_variants")[1].at("other_cores"), 0.5);
  // One measurement of ours before each variant, and the median of two is their mean.
  const Json& runs = row.at("tokens_per_second_runs");
  ASSERT_EQ(runs.size(), 2);
  EXPECT_DOUBLE_EQ(ours, 0.5 * (runs[0].get<double>() + runs[1].get<double>()));
}

TEST_F(Bench, FailedVariantsAreListedWithTheirReason) {
  const Json found = rows(
      "--presets demo --precision f32 --rounds 2 --time-limit 1 " +
      peer("*sdpa*--compile) echo no compiler >&2; exit 3;;\n*sdpa*) sleep 600;;\n*--compile) " +
           measurement(900, 1, 7) + ";;\n*) " + measurement(100, 300, kDemoParameters) + ";;"));
  ASSERT_EQ(found.size(), 1);
  const Json& row = found[0];
  EXPECT_EQ(row.at("peer_variant"), "eager-matmul");
  ASSERT_EQ(row.at("peer_variants").size(), 4);
  const std::array<std::string, 4> reasons = {"", "took more than 1 s", "7 parameters",
                                              "no compiler"};
  for (size_t i = 0; i < reasons.size(); ++i) {
    const Json& variant = row.at("peer_variants")[i];
    EXPECT_EQ(variant.contains("failure"), !reasons[i].empty()) << variant;
    EXPECT_EQ(variant.at("tokens_per_second").is_null(), !reasons[i].empty()) << variant;
    EXPECT_NE(variant.value("failure", "").find(reasons[i]), std::string::npos) << variant;
  }
  // What failed is not tried again: 4 measurements of ours in the first round, 1 in the second.
  EXPECT_EQ(row.at("tokens_per_second_runs").size(), 5);
}

TEST_F(Bench, ThePeerIsAskedForTheSameWork) {
  const Json found = rows("--presets demo --precision f32 --ar-only --variants compiled-sdpa " +
                          peer("*) " + measurement(100, 300, kDemoArParameters) + ";;"));
  ASSERT_EQ(found.size(), 1);
  EXPECT_EQ(found[0].at("peer_tokens_per_second"), 100);
  EXPECT_FALSE(found[0].at("flow").get<bool>());
  std::ifstream file(folder_ / "calls");
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "--probe");
  std::getline(file, line);
  EXPECT_EQ(line,
            "--preset demo --seq 16 --batch 1 --block 16 --steps 1 --warm-up 1 --threads 1 "
            "--ar-only --attention sdpa --compile");
  EXPECT_FALSE(std::getline(file, line)) << line;
}

TEST_F(Bench, WithoutAPeerTheRowSaysSo) {
  // The larger preset first: each one's memory is its own.
  const Json found = rows("--presets 7m,demo --peer none");
  ASSERT_EQ(found.size(), 2);
  for (const Json& row : found) {
    EXPECT_EQ(row.at("peer").get<std::string>().rfind("none: ", 0), 0) << row;
    EXPECT_TRUE(row.at("peer_tokens_per_second").is_null());
    EXPECT_TRUE(row.at("ratio").is_null());
    EXPECT_TRUE(row.at("memory_ratio").is_null());
  }
  // 7m has 5 million parameters more, of 16 bytes each: value, gradient, two moments.
  EXPECT_GT(found[0].at("peak_rss_mb").get<double>(),
            found[1].at("peak_rss_mb").get<double>() + 50);
}

TEST_F(Bench, WrongUsageIsRefusedBeforeAnythingIsMeasured) {
  const std::string alone = kBench + "--peer none --presets demo";
  expect_refusal(alone + ",9b", 2, {"unknown preset", "9b"});
  expect_refusal(alone + " --block 3", 2, {"--block 3", "divisor"});
  expect_refusal(alone + " --variants fast", 2, {"fast", "eager-matmul"});
  expect_refusal(alone + " --precision f32 --variants eager-matmul-bf16", 2, {"unknown variant"});
  expect_refusal(kBench + "--peer no-such-program", 1, {"--peer", "no-such-program"});
  expect_refusal(kBench + "--peer 'echo {} #'", 1, {"--probe"});
}

TEST_F(Bench, DisturbedFiguresAreWarnedOf) {
  const Outcome outcome = run(kBench + "--presets demo --precision f32 --variants eager-matmul " +
                              peer("*) " + measurement(100, 300, kDemoParameters, 1.25) + ";;"));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(outcome.err.find("eager-matmul (1.25)"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.out.find("peer: Script 1.0: evo is"), std::string::npos) << outcome.out;
}

/// A killed process lingers as a zombie until its new parent has reaped it: state Z or no process.
bool gone(pid_t process) {
  std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
  std::string number, name, state;
  return !(stat >> number >> name >> state) || state == "Z";
}

TEST_F(Bench, AnInterruptEndsThePeerAndWhatItStarted) {
  const fs::path started = folder_ / "started";
  Background evo(kBench + "--presets demo --precision f32 " +
                 peer("*) sleep 600 & echo $! > " + started.string() + "; wait;;") +
                 "2> /dev/null");
  pid_t sleeper = 0;
  ASSERT_TRUE(wait_until([&] { return std::ifstream(started) >> sleeper && sleeper > 0; }));
  evo.interrupt();
  EXPECT_EQ(evo.wait(), 130);
  EXPECT_TRUE(wait_until([&] { return gone(sleeper); }));
}

/// A Python that has PyTorch; empty if there is none.
std::string python_with_torch() {
  for (const std::string python : {"python3", "/usr/bin/python3"}) {
    const std::string test = python + " -c 'import torch' 2> /dev/null";
    if (std::system(test.c_str()) == 0) return python;
  }
  return {};
}

TEST_F(Bench, PyTorchDoesTheSameWork) {
  const std::string python = python_with_torch();
  if (python.empty()) GTEST_SKIP() << "bench: no PyTorch (Debian: python3-torch)";
  for (const std::string streams : {"", "--ar-only"}) {
    const Json found =
        rows("--presets demo --precision f32 --variants eager-matmul " + streams + " --peer '" +
             python + " " + EVO_SOURCE_DIR + "/reference/train_bench.py'");
    ASSERT_EQ(found.size(), 1);
    EXPECT_EQ(found[0].at("peer").get<std::string>().rfind("PyTorch ", 0), 0) << found[0];
    EXPECT_GT(found[0].at("ratio").get<double>(), 0) << found[0];
  }
}

}  // namespace
}  // namespace evo::testing
