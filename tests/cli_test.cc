// The command line itself: usage, help, standard streams, and the small commands.
#include <nlohmann/json.hpp>
#include <regex>

#include "program.h"

namespace evo::testing {
namespace {

class Cli : public ProgramTest {};

TEST_F(Cli, UnknownCommandsAndOptionsAreNamed) {
  const char* commands =
      "demo, pull, list, remove, train, adapt, generate, chat, serve, eval, info, plan, bench, "
      "convert, "
      "tokenizer";
  expect_refusal("", 2, {"no command", commands, "evo --help"});
  expect_refusal("frobnicate", 2, {"unknown command 'frobnicate'", commands});
  expect_refusal("--frobnicate train", 2, {"unknown option '--frobnicate'"});
  expect_refusal("eval", 2, {"no command", "likelihood", "evo eval --help"});
  expect_refusal("eval fluency", 2, {"unknown command 'fluency'", "likelihood"});
  expect_refusal("generate model --tempature 0.5", 2, {"--tempature", "evo generate --help"});
  expect_refusal("tokenizer encode t.json --txt x", 2, {"--txt", "evo tokenizer encode --help"});
  expect_refusal("train --out x", 2, {"--data", "required"});
  expect_refusal("info --preset 9b", 2, {"unknown preset '9b'", "demo, 7m"});
  expect_refusal("info", 2, {"model folder", "--preset"});
  expect_refusal("generate m --temp 0.5", 2, {"unknown option '--temp'", "'--temperature'?"});
  expect_refusal("train --dta x --out y", 2, {"unknown option '--dta'", "did you mean '--data'?"});
  expect_refusal("trian", 2, {"unknown command 'trian'", "did you mean 'train'?"});
  expect_refusal("eval taks", 2, {"unknown command 'taks'", "did you mean 'tasks'?"});
  expect_refusal("--versoin", 2, {"unknown option '--versoin'", "did you mean '--version'?"});
  expect_refusal("info --preset 7M", 2, {"unknown preset '7M'", "did you mean '7m'?"});
  expect_refusal("generate m --mode exatc", 2, {"exatc", "did you mean 'exact'?"});
  expect_refusal("generate m --precision fb16", 2, {"fb16", "did you mean 'bf16'?"});
  expect_refusal("adapt m --data x --out y --recipe forzen", 2,
                 {"--recipe", "frozen or full or drafts", "forzen", "did you mean 'frozen'?"});
  expect_refusal("eval tasks m --data x --tasks hellaswga", 2, {"did you mean 'hellaswag'?"});
  expect_refusal("eval make sudokku --out x", 2, {"sudokku", "did you mean 'sudoku'?"});
  expect_refusal("eval likelihood m --data x --path digonal", 2, {"did you mean 'diagonal'?"});
  expect_refusal("generate m --threads -1", 2,
                 {"--threads: '-1'", "expected a whole number from 1 to"});
  expect_refusal("generate m --threads 9999", 2, {"--threads: '9999'", "expected", "CPUs"});
  expect_refusal("generate m --precision f64 --mode ar", 2,
                 {"f64", "auto, f32, bf16, q8, q4 or int8"});
  expect_refusal("train --preset demo --data x --out y --precision int8", 2,
                 {"int8 is for decoding"});
}

TEST_F(Cli, HelpListsTheOptions) {
  const std::pair<const char*, std::vector<const char*>> commands[] = {
      {"",
       {"demo", "train", "adapt", "generate", "chat", "eval", "info", "bench", "convert",
        "tokenizer", "--version"}},
      {"train",
       {"--preset", "--config", "--set", "--data", "--out", "--tokenizer", "--steps", "--minutes",
        "--resume", "--quiet", "--json", "learning_rate=", "hidden_size="}},
      {"generate", {"--prompt", "--mode",  "--balance",   "--max-tokens", "--temperature",
                    "--top-k",  "--top-p", "--seed",      "--stop",       "--window",
                    "--steps",  "--trace", "--trace-map", "--replay",     "--prefix",
                    "--suffix", "--edit",  "--edit-time", "--precision",  "--json"}},
      {"chat",
       {"--system", "--mode", "--balance", "--temperature", "--top-p", "--top-k", "--seed",
        "--max-tokens", "--precision", "--threads", "--json", "/retry", "/save"}},
      {"adapt", {"--recipe", "--data", "--out", "--steps", "--minutes", "--resume", "--json"}},
      {"eval", {"likelihood"}},
      {"eval likelihood", {"--data", "--path", "--limit", "--context", "--samples", "--json"}},
      {"info", {"--preset", "--json"}},
      {"bench", {"train", "decode"}},
      {"bench decode", {"--random", "--prompts", "--precision", "--llama-bench", "--json"}},
      {"convert", {"--weights"}},
      {"bench train", {"--presets", "--json"}},
      {"tokenizer", {"train", "encode", "decode"}},
      {"tokenizer train", {"--data", "--out", "--vocab-size"}},
      {"tokenizer encode", {"--text"}},
      {"tokenizer decode", {"--ids"}},
      {"demo", {"--minutes", "--out", "--prompt", "--max-tokens"}}};
  for (const auto& [command, options] : commands) {
    const Outcome outcome = run(std::string(command) + " --help");
    EXPECT_EQ(outcome.code, 0) << command;
    EXPECT_EQ(outcome.err, "") << command;
    for (const char* option : options) {
      EXPECT_NE(outcome.out.find(option), std::string::npos) << command << ": " << option;
    }
  }
}

TEST_F(Cli, EveryCommandCanBeQuietAndColourless) {
  for (const char* command :
       {"demo", "train", "adapt", "generate", "chat", "serve", "eval likelihood", "eval tasks",
        "eval make", "info", "plan", "bench train", "bench decode", "convert", "tokenizer train",
        "tokenizer encode", "tokenizer shard"}) {
    const std::string help = run(std::string(command) + " --help").out;
    EXPECT_NE(help.find("--quiet"), std::string::npos) << command;
    EXPECT_NE(help.find("--color"), std::string::npos) << command;
  }
  EXPECT_NE(run("generate " + model() + " --max-tokens 2").err, "");
  EXPECT_EQ(run("generate " + model() + " --max-tokens 2 --quiet").err, "");
}

/// Options of a command that take a number, by its help.
std::vector<std::string> numeric_options(const std::string& command) {
  const std::string help = run(command + " --help").out;
  const std::regex option("(--[a-z-]+) (UINT|INT|FLOAT)");
  std::vector<std::string> names;
  for (std::sregex_iterator at(help.begin(), help.end(), option), end; at != end; ++at) {
    names.push_back((*at)[1]);
  }
  return names;
}

TEST_F(Cli, NumbersOutOfRangeAreRefusedWithWhatIsAllowed) {
  size_t options = 0;
  for (const std::string command :
       {"train", "adapt", "generate", "chat", "serve", "eval tasks", "eval likelihood", "eval make",
        "plan", "bench train", "bench decode", "tokenizer train", "tokenizer shard", "demo"}) {
    const std::vector<std::string> names = numeric_options(command);
    EXPECT_FALSE(names.empty()) << command;
    options += names.size();
    for (const std::string& name : names) {
      if (name == "--shard-tokens") continue;  // has a unit
      for (const char* value :
           {"1e20", "-1e20", "-1", "99999999999999999999", "nan", "inf", "many", "''"}) {
        expect_refusal(command + " " + name + " " + value, 2, {name, "expected a"});
      }
    }
  }
  EXPECT_GT(options, 60u);
}

TEST_F(Cli, NumbersAreReadAsPeopleWriteThem) {
  const std::string train = "tokenizer train --data " + shared("text.txt") + " --out ";
  EXPECT_EQ(run(train + path("t.json") + " --vocab-size 0300").code, 2);  // not the octal 192
  EXPECT_EQ(run(train + path("t.json") + " --vocab-size 300").code, 0);
}

TEST_F(Cli, VersionIsTheProjects) {
  EXPECT_EQ(run("--version").out, "evo " EVO_VERSION "\n");
}

TEST_F(Cli, ResultsThatCannotBeWrittenAreFailures) {
  for (const char* arguments : {"info --preset 7m", "info --preset 7m --json", "train --help"}) {
    const Outcome full = run_shell(std::string("$EVO ") + arguments + " >/dev/full");
    EXPECT_EQ(full.code, 1) << arguments;
    EXPECT_NE(full.err.find("No space left"), std::string::npos) << full.err;
  }
  EXPECT_EQ(run_shell("$EVO info --preset 7m >&-").code, 1);
}

TEST_F(Cli, LostMessagesAreNot) {
  for (const char* place : {"2>&-", "2>/dev/full", "<&- 2>&-"}) {
    const Outcome outcome = run_shell("$EVO info --preset 7m " + std::string(place));
    EXPECT_EQ(outcome.code, 0) << place;
    EXPECT_NE(outcome.out.find("parameters"), std::string::npos) << place;
  }
  EXPECT_EQ(run_shell("$EVO frobnicate 2>&-").code, 2);
}

/// The first file to be opened would get the number of a closed stream, and then its text.
TEST_F(Cli, ClosedStreamsDoNotWriteIntoFiles) {
  const std::string trace = path("trace"), out = path("run");
  const std::string generate = "$EVO generate " + model() + " --mode ar --prompt The --trace ";
  EXPECT_EQ(run_shell(generate + trace + " >&-").code, 1);
  EXPECT_FALSE(fs::exists(trace));
  EXPECT_EQ(run_shell("$EVO " + train(out, "--steps 2") + " --set no_such=1 >&- 2>&-").code, 2);
  EXPECT_EQ(run_shell("$EVO " + train(out, "--steps 2") + " <&- >&- 2>&-").code, 0);
  flip_bit(out + "/checkpoints/step-00000002/state.safetensors", 3000, 1);
  // It warns of the damage while its lock is open.
  EXPECT_EQ(run_shell("$EVO " + train(out, "--steps 2 --resume") + " 2>&-").code, 1);
  EXPECT_EQ(read_bytes(out + "/.lock").find_first_not_of("0123456789"), std::string::npos);
}

TEST_F(Cli, ReaderThatGoesAwayEndsTheProgramQuietly) {
  const std::string trace = path("trace");
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  close(ends[0]);
  Background program(
      "generate " + model() + " --mode ar --prompt The --trace " + trace + " 2>" + path("err"),
      ends[1]);
  close(ends[1]);
  EXPECT_EQ(program.wait(), 128 + SIGPIPE);
  EXPECT_EQ(read_bytes(path("err")), "");
  EXPECT_FALSE(fs::exists(trace));
  EXPECT_TRUE(leftovers(path("")).empty());
}

TEST_F(Cli, TokenizerKeepsAnyBytes) {
  const std::string bytes("ab\xFF\xFE \xC3(\xED\xA0\x80 caf\xC3\xA9\n\0end", 22);
  write_bytes(path("bytes"), bytes);
  ASSERT_EQ(run("tokenizer train --data " + shared("text.txt") + " --vocab-size 260 --out " +
                path("tokenizer.json"))
                .code,
            0);
  const Outcome back =
      run_shell("$EVO tokenizer encode " + path("tokenizer.json") + " <" + path("bytes") +
                " | $EVO tokenizer decode " + path("tokenizer.json"));
  EXPECT_EQ(back.code, 0) << back.err;
  EXPECT_EQ(back.out, bytes);
}

TEST_F(Cli, TokenizerRefusesWhatItCannotDo) {
  const std::string tokenizer = model() + "/tokenizer.json";
  const Outcome decoded = run_shell("echo 65 66 x 67 | $EVO tokenizer decode " + tokenizer);
  EXPECT_EQ(decoded.code, 1);
  EXPECT_NE(decoded.err.find("after the first 2"), std::string::npos) << decoded.err;
  expect_refusal("tokenizer decode " + tokenizer + " --ids 99999", 1, {"99999"});
  expect_refusal("tokenizer encode " + path("none.json") + " --text a", 1, {"none.json"});
  expect_refusal(
      "tokenizer train --vocab-size 9 --data " + shared("text.txt") + " --out " + path("t.json"), 2,
      {"257"});
  EXPECT_FALSE(fs::exists(path("t.json")));
}

TEST_F(Cli, DemoLeavesOtherFoldersAlone) {
  write_bytes(path("mine"), "precious");
  expect_refusal("demo --minutes 0.01 --out " + path(""), 1, {"not an earlier demo", "--out"});
  EXPECT_EQ(read_bytes(path("mine")), "precious");
}

TEST_F(Cli, InfoAgreesWithTheModelFolder) {
  const auto info = nlohmann::json::parse(run("info --json " + model()).out);
  EXPECT_EQ(info.at("context"), 64);
  EXPECT_GT(info.at("backbone_parameters").get<int64_t>(), 0);
  EXPECT_GT(info.at("flow_parameters").get<int64_t>(), 0);
  expect_refusal("info " + path("none"), 1, {"/none: No such file"});
}

}  // namespace
}  // namespace evo::testing
