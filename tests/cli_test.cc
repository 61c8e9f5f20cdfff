// The built program as its users meet it: exit codes and messages for bad input, and one small run
// from text to trained model to generated text.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

namespace {

namespace fs = std::filesystem;

struct Outcome {
  int code = -1;
  std::string output;
};

Outcome run(const std::string& arguments, bool with_stderr = true, const std::string& before = "") {
  const std::string command =
      before + std::string(EVO_BINARY) + " " + arguments + (with_stderr ? " 2>&1" : " 2>/dev/null");
  Outcome outcome;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return outcome;
  std::array<char, 4096> buffer{};
  while (const size_t count = fread(buffer.data(), 1, buffer.size(), pipe)) {
    outcome.output.append(buffer.data(), count);
  }
  const int status = pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

void expect_refusal(const std::string& arguments, int code, const std::string& message) {
  const Outcome outcome = run(arguments);
  EXPECT_EQ(outcome.code, code) << arguments << "\n" << outcome.output;
  EXPECT_NE(outcome.output.find(message), std::string::npos) << arguments << "\n" << outcome.output;
}

class Cli : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "evo-cli-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    std::ofstream text(folder_ / "text.txt");
    for (int i = 0; i < 400; ++i) text << "The cat sat on the mat and the dog ran to the door.\n";
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_ / name).string();
  }
  [[nodiscard]] std::string train(const std::string& out, const std::string& more) const {
    return "train --preset demo --set vocab_size=300 --set batch_size=2 --set sequence_length=32 "
           "--set num_hidden_layers=2 --data " +
           path("text.txt") + " --out " + path(out) + " --quiet " + more;
  }

  fs::path folder_;
};

TEST_F(Cli, WrongUsageExitsWithTwo) {
  expect_refusal("", 2, "subcommand");
  expect_refusal("frobnicate", 2, "subcommand");
  expect_refusal("info --preset 9b", 2, "unknown preset");
  expect_refusal("train --preset demo --data x --out y --set no_such_key=1", 2, "no_such_key");
  expect_refusal("generate m --mode fast", 2, "expected ar, exact, evo or diffusion");
  expect_refusal("generate m --mode ar --balance 0.5", 2, "contradict");
  EXPECT_EQ(run("--help").code, 0);
  EXPECT_EQ(run("train --help").code, 0);
}

TEST_F(Cli, BadFilesExitWithOne) {
  expect_refusal("generate " + path("nothing"), 1, "model folder");
  std::ofstream(folder_ / "empty.txt");
  expect_refusal("train --preset demo --data " + path("empty.txt") + " --out " + path("o1"), 1,
                 "empty.txt");
  expect_refusal("train --preset demo --data " + path("none.txt") + " --out " + path("o2"), 1,
                 "none.txt");
  std::ofstream(folder_ / "bad.json") << R"({"hidden_sise": 64})";
  expect_refusal(
      "train --config " + path("bad.json") + " --data " + path("text.txt") + " --out " + path("o3"),
      1, "hidden_sise");
}

TEST_F(Cli, TrainsGeneratesAndEvaluates) {
  const Outcome training = run(train("model", "--steps 4"));
  ASSERT_EQ(training.code, 0) << training.output;
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json",
                           "generation_config.json", "metrics.jsonl", "loss.svg"}) {
    EXPECT_TRUE(fs::exists(folder_ / "model" / file)) << file;
  }
  for (const char* mode : {"ar", "exact", "evo", "diffusion"}) {
    const Outcome made = run(
        "generate " + path("model") + " --prompt 'The cat' --max-tokens 12 --json --mode " + mode,
        false);
    ASSERT_EQ(made.code, 0) << made.output;
    const auto json = nlohmann::json::parse(made.output);
    EXPECT_EQ(json.at("mode"), mode);
    EXPECT_LE(json.at("tokens").get<int>(), 12);
    EXPECT_GT(json.at("passes").get<int>(), 0);
  }
  for (const char* way : {"ar", "diagonal", "block:8"}) {
    const Outcome scored = run("eval likelihood " + path("model") + " --data " + path("text.txt") +
                                   " --limit 200 --json --path " + way,
                               false);
    ASSERT_EQ(scored.code, 0) << scored.output;
    const auto json = nlohmann::json::parse(scored.output);
    EXPECT_GT(json.at("nats_per_token").get<double>(), 0);
    EXPECT_EQ(json.at("bound").get<bool>(), std::string(way) != "ar");
  }
  expect_refusal(train("model", "--steps 4"), 1, "--resume");
  expect_refusal("generate " + path("model") + " --prompt \"$(yes word | head -3000)\"", 1,
                 "context");
  fs::resize_file(folder_ / "model" / "model.safetensors", 1000);
  expect_refusal("generate " + path("model"), 1, "model.safetensors");
}

std::string bytes_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST_F(Cli, ResumeAfterKillContinuesBitForBit) {
  const std::string more =
      "--steps 200 --set checkpoint_every=5 --set time_every=7 --set validate_every=50";
  ASSERT_EQ(run(train("straight", more)).code, 0);
  // Killed wherever these moments find it: before the first checkpoint, between two, while saving.
  for (const char* seconds : {"0.2", "0.45", "0.7"}) {
    run(train("killed", more + " --resume"), true, std::string("timeout -s KILL ") + seconds + " ");
  }
  const Outcome last = run(train("killed", more + " --resume"));
  ASSERT_EQ(last.code, 0) << last.output;
  const std::string straight = bytes_of(folder_ / "straight" / "model.safetensors");
  EXPECT_FALSE(straight.empty());
  EXPECT_TRUE(straight == bytes_of(folder_ / "killed" / "model.safetensors"));
}

}  // namespace
