// `evo plan`: what it prints, and what it refuses.
#include <nlohmann/json.hpp>
#include <sstream>

#include "program.h"

namespace evo::testing {
namespace {

class Plan : public ProgramTest {
 protected:
  static constexpr const char* kMachine =
      "--ranks 64 --memory 80G --flops 400T --bandwidth 50G --efficiency 0.4";

  [[nodiscard]] static std::string plan(const std::string& more) {
    return std::string("plan ") + kMachine + " " + more;
  }
};

TEST_F(Plan, EightBillionParametersOnSixtyFourRanks) {
  const nlohmann::json tight = result(plan("--preset 8b --tokens 1T"));
  EXPECT_EQ(tight.at("fits"), false);
  EXPECT_EQ(tight.at("limit"), "memory");

  const nlohmann::json plan96 = result(
      "plan --ranks 64 --memory 96Gi --flops 400T --bandwidth 50G --efficiency 0.4 --preset 8b "
      "--tokens 1T --recompute");
  EXPECT_EQ(plan96.at("fits"), true);
  EXPECT_EQ(plan96.at("machine").at("memory"), 96.0 * (1 << 30));
  EXPECT_NEAR(plan96.at("parameters").at("total").get<double>(), 8.13e9, 0.01e9);
  const nlohmann::json& memory = plan96.at("memory_bytes");
  EXPECT_EQ(memory.at("weights"), memory.at("gradients"));
  EXPECT_NEAR(memory.at("moments").get<double>() * 32, memory.at("weights").get<double>(), 1);
  EXPECT_EQ(plan96.at("batch_size").get<int64_t>() % 64, 0);
  const nlohmann::json& time = plan96.at("step_seconds");
  EXPECT_NEAR(time.at("total").get<double>(),
              time.at("compute").get<double>() + time.at("exposed").get<double>(), 1e-9);
  const double days = 1e12 / plan96.at("tokens_per_second").get<double>() / 86400;
  EXPECT_NEAR(plan96.at("days").get<double>(), days, 1e-9 * days);
  const std::string command = plan96.at("command");
  for (const char* part : {"mpirun -n 64 evo train --preset 8b", "--set recompute=true", "--steps"})
    EXPECT_NE(command.find(part), std::string::npos) << command;
}

TEST_F(Plan, TableFitsIntoEightyColumnsAndSaysWhatToDo) {
  const Outcome outcome = run(plan("--preset 8b --tokens 1T"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80U) << line;
  for (const char* part : {"DOES NOT FIT", "First limit: memory", "mpirun -n 64 evo train",
                           "moments of AdamW", "days"}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
  }
}

TEST_F(Plan, SettingsAreThoseOfTraining) {
  const nlohmann::json own = result(plan(
      "--preset 30m --set batch_size=128 --set gradient_accumulation=3 --set sequence_length=512 "
      "--set wire=bf16"));
  EXPECT_EQ(own.at("tokens_per_step"), 128 * 3 * 512);
  EXPECT_EQ(own.at("wire"), "bf16");
  const std::string command = own.at("command");
  EXPECT_NE(command.find("--set sequence_length=512 --set wire=bf16"), std::string::npos);
  EXPECT_EQ(command.find("batch_size"), command.rfind("batch_size")) << command;
  write_bytes(path("run.json"), R"({"vocab_size": 500, "batch_size": 192})");
  EXPECT_EQ(result(plan("--config " + path("run.json"))).at("batch_size"), 192);
  EXPECT_NEAR(result(plan("--preset 124m --batch-tokens 500K")).at("tokens_per_step").get<double>(),
              500e3, 500e3 / 8);
}

/// The default efficiency is measured, which for the smallest shape takes a second.
TEST_F(Plan, EfficiencyIsMeasured) {
  const nlohmann::json own =
      result("plan --preset demo --memory 8G --flops 100G --bandwidth 1G 2>" + path("err"));
  const double efficiency = own.at("machine").at("efficiency");
  EXPECT_GT(efficiency, 0.01);
  EXPECT_LE(efficiency, 1);
  EXPECT_NE(read_bytes(path("err")).find("--efficiency"), std::string::npos);
}

TEST_F(Plan, NonsenseIsRefused) {
  const std::string rest = " --bandwidth 50G --efficiency 0.4";
  for (const char* amount :
       {"80X", "G", "-80G", "0", "nan", "inf", "1e400", "80GG", "80G ", "80Bi"}) {
    expect_refusal("plan --preset 8b --flops 400T --memory '" + std::string(amount) + "'" + rest, 2,
                   {"--memory", "expected a number above 0 with a unit", "80Gi"});
  }
  expect_refusal("plan --preset 8b --memory 80G --flops 4 --bandwidth x", 2, {"--bandwidth x"});
  expect_refusal(plan("--preset 8b --tokens 1Q"), 2, {"--tokens 1Q"});
  expect_refusal(plan("--preset 8b --batch-tokens 0"), 2, {"--batch-tokens 0"});
  expect_refusal("plan --preset 8b", 2, {"required"});
  expect_refusal(plan(""), 2, {"--preset NAME or --config FILE"});
  expect_refusal(plan("--preset 9b"), 2, {"unknown preset '9b'"});
  expect_refusal(plan("--preset 8b --ranks 0"), 2, {"--ranks"});
  expect_refusal(plan("--preset 8b --set bach_size=4"), 2, {"bach_size"});
  expect_refusal(plan("--preset 8b --set batch_size=16"), 1, {"16", "64 ranks"});
  expect_refusal("plan --preset 8b --memory 80G --flops 400T --bandwidth 50G --efficiency 2", 2,
                 {"--efficiency: '2'", "above 0, at most 1"});
  expect_refusal(plan("--config " + path("none.json")), 1, {"none.json"});
}

TEST_F(Plan, HelpTeachesByExample) {
  const Outcome outcome = run("plan --help");
  EXPECT_EQ(outcome.code, 0);
  for (const char* part : {"--ranks", "--memory", "--flops", "--bandwidth", "--tokens",
                           "--efficiency", "--recompute", "evo plan --preset 8b --ranks 64"}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace evo::testing
