// `evo train` on bad data, settings, folders and disks, and ended in every way; what it leaves.
#include <nlohmann/json.hpp>
#include <sstream>

#include "ops/machine.h"
#include "program.h"

namespace evo::testing {
namespace {

using Json = nlohmann::json;

std::vector<Json> json_lines(const fs::path& path) {
  std::vector<Json> lines;
  std::istringstream text(read_bytes(path));
  for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
  return lines;
}

class Train : public ProgramTest {
 protected:
  /// `arguments` are refused, and nothing is written.
  void expect_no_start(const std::string& arguments, int code,
                       std::initializer_list<std::string_view> parts) const {
    expect_refusal(arguments + " --out " + path("out"), code, parts);
    EXPECT_FALSE(fs::exists(path("out"))) << arguments;
  }
  [[nodiscard]] static std::string with_data(const std::string& data) {
    return std::string("train ") + kSettings + " --data " + data;
  }
  [[nodiscard]] static std::string with_settings(const std::string& settings) {
    return "train --data " + shared("text.txt") + " " + settings;
  }
};

TEST_F(Train, DataThatIsNone) {
  write_bytes(path("empty.txt"), "");
  write_bytes(path("blank.txt"), "\n\r\n<|endoftext|>\n\n");
  write_bytes(path("cut.xz"), std::string("\xFD"
                                          "7zXZ\0\0\4",
                                          8));
  expect_no_start(with_data(path("none.txt")), 1, {"none.txt", "No such file"});
  expect_no_start(with_data(path("empty.txt")), 1, {"empty.txt is empty", "expected a text"});
  expect_no_start(with_data(path("blank.txt")), 1, {"no text", "--data"});
  expect_no_start(with_data(path("")), 1, {"no text", "leaving a file out", "cut.xz"});
  expect_no_start(with_data(path("cut.xz")), 1, {"cut.xz", "ends too early"});
  expect_no_start(with_data(shared("text.txt") + " " + path("none.txt")), 1, {"none.txt"});
}

TEST_F(Train, TextShorterThanASequence) {
  write_bytes(path("short.txt"), "The cat sat on the mat and the dog ran to the door.");
  const std::string arguments =
      with_data(path("short.txt")) + " --quiet --steps 2 --out " + path("out");
  expect_refusal(arguments + " --set sequence_length=60", 1,
                 {"sequence_length", "60", "122", "Use a longer text or a shorter"});
  // The folder is not taken by the run that could not start.
  const Outcome outcome = run(arguments + " --set sequence_length=4");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

TEST_F(Train, TextThatIsNotUtf8) {
  std::string text;
  for (int i = 0; i < 300; ++i) {
    text += i % 100 == 50 ? "The c\xFFt s\xC3 on \xED\xA0\x80 the m\xFE\xFEt.\n"
                          : "The cat sat on the mat.\n";
  }
  text += std::string("zero \0 byte", 11);
  write_bytes(path("text.txt"), text);
  const std::string out = path("out");
  const Outcome outcome = run(with_data(path("text.txt")) + " --quiet --steps 2 --out " + out);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("22 of its 7223 bytes are no UTF-8"), std::string::npos)
      << outcome.err;
  const Outcome back =
      run_shell("$EVO tokenizer encode " + out + "/tokenizer.json <" + path("text.txt") +
                " | $EVO tokenizer decode " + out + "/tokenizer.json");
  EXPECT_EQ(back.out, text);
}

TEST_F(Train, SettingsThatAreUnknownOrContradictory) {
  const auto demo = [](const std::string& more) { return with_settings("--preset demo " + more); };
  expect_no_start(demo("--set no_such_key=1"), 2, {"no_such_key", "expected one of", "batch_size"});
  expect_no_start(demo("--set batch_szie=2"), 2, {"batch_szie", "did you mean 'batch_size'?"});
  expect_no_start(demo("--set batch_size"), 2, {"expected key=value", "batch_size"});
  expect_no_start(demo("--set batch_size=many"), 2, {"batch_size", "a whole number", "many"});
  expect_no_start(demo("--set flow=1"), 2, {"flow", "true or false"});
  expect_no_start(demo("--set learning_rate=nan"), 2, {"learning_rate", "a number", "nan"});
  expect_no_start(demo("--set num_key_value_heads=3"), 1, {"must divide num_attention_heads"});
  expect_no_start(demo("--set sequence_length=512"), 1, {"below `max_position_embeddings`"});
  expect_no_start(demo("--set code_gradient=no"), 1, {"must be ce, mse or pca"});
  expect_no_start(demo("--steps 0"), 1, {"give `steps` or `minutes`"});
  expect_no_start(demo("--set steps=-5"), 1, {"`steps` must not be negative"});
  expect_no_start(demo("--minutes -1"), 2, {"--minutes: '-1'"});
  expect_no_start(demo("--minutes nan"), 2, {"--minutes: 'nan'"});
  expect_no_start(demo("--memory 8X"), 2, {"--memory 8X", "such as 80G"});
  expect_no_start(demo("--config x.json"), 2, {"either --preset", "or --config"});
  expect_no_start(with_settings(""), 2, {"either --preset", "or --config"});
  expect_no_start(demo("--tokenizer " + path("none.json")), 1, {"none.json"});
  expect_refusal(demo("--out ''"), 2, {"--out", "empty"});
}

TEST_F(Train, ConfigFiles) {
  const auto config = [&](const std::string& text) {
    write_bytes(path("c.json"), text);
    return with_settings("--config " + path("c.json"));
  };
  expect_no_start(with_settings("--config " + path("none.json")), 1, {"none.json", "No such file"});
  expect_no_start(config(R"({"hidden_sise": 64})"), 1,
                  {"c.json", "hidden_sise", "did you mean 'hidden_size'"});
  expect_no_start(config(R"({"hidden_size": "64"})"), 1, {"c.json", "hidden_size", "whole number"});
  expect_no_start(config(R"({"steps": 2, "steps": 3})"), 1, {"c.json", "steps", "twice"});
  expect_no_start(config("{"), 1, {"c.json", "not valid JSON"});
  expect_no_start(config("{}"), 1, {"vocab_size must be"});
  // The settings that a run leaves are such a file.
  const Outcome outcome =
      run(with_settings("--quiet --config " + model() + "/run.json --out " + path("again")));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(read_bytes(path("again/model.safetensors")) ==
              read_bytes(model() + "/model.safetensors"));
}

TEST_F(Train, FoldersThatCannotBeUsed) {
  expect_refusal(train(shared("text.txt"), ""), 1, {"text.txt", "Not a directory"});
  expect_refusal(train(shared("text.txt") + "/out", ""), 1, {"text.txt/out", "Not a directory"});
  expect_refusal(train("/proc/no-such-folder", ""), 1, {"/proc/no-such-folder"});
  expect_refusal(train(model(), ""), 1, {"holds a run", "--resume", "another --out"});
  fs::create_directory(path("finished"));
  fs::copy(model() + "/model.safetensors", path("finished"));
  for (const char* resume : {"", "--resume"}) {
    expect_refusal(train(path("finished"), resume), 1, {"holds a model already", "--out"});
  }
}

TEST_F(Train, LeavesWhatItPromises) {
  const std::string out = path("out");
  const Outcome outcome = run(train(out, "--steps 6 --set log_every=2 --json"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json", "loss.svg",
                           "generation_config.json", "run.json"}) {
    EXPECT_FALSE(is_empty_or_absent(fs::path(out) / file)) << file;
  }
  EXPECT_FALSE(is_empty_or_absent(fs::path(out) / "checkpoints" / "step-00000006"));
  EXPECT_EQ(read_bytes(out + "/loss.svg").substr(0, 4), "<svg");
  EXPECT_TRUE(leftovers(out).empty());

  const std::vector<Json> lines = json_lines(out + "/metrics.jsonl");
  ASSERT_EQ(lines.size(), 3u);
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].at("step"), 2 * (i + 1));
    EXPECT_EQ(lines[i].at("tokens"), 2 * (i + 1) * 2 * 16);  // steps x batch x sequence
    for (const char* key :
         {"loss", "ar_nll", "flow_loss", "tokens_per_second", "gemm_peak_fraction"}) {
      EXPECT_GT(lines[i].at(key).get<double>(), 0) << key;
    }
  }
  const Json summary = Json::parse(outcome.out);
  EXPECT_EQ(summary.at("step"), 6);
  EXPECT_EQ(summary.at("tokens"), 6 * 2 * 16);
  EXPECT_EQ(summary.at("interrupted"), false);
  EXPECT_EQ(summary.at("ar_nll"), lines.back().at("ar_nll"));
}

/// What mode exact gains is measured: as the last line, and in the summary.
TEST_F(Train, EndsWithWhatExactGains) {
  const std::string settings = std::string(kSettings) + " --data " + shared("text.txt");
  const Outcome outcome = run("train " + settings + " --steps 4 --out " + path("told"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const size_t line = outcome.err.rfind("mode exact, ");
  ASSERT_NE(line, std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n', line), outcome.err.size() - 1) << outcome.err;
  // Few sequences, learnt by heart within seconds: a high rate then makes the loss jump.
  const auto summary =
      result("train " + settings + " --quiet --set learning_rate=1e-5 --minutes 0.03 --out " +
             path("out"));
  EXPECT_GT(summary.at("exact_speed_up").get<double>(), 0);
  const auto plain =
      result("train " + settings + " --quiet --steps 2 --set flow=false --out " + path("plain"));
  EXPECT_FALSE(plain.contains("exact_speed_up"));
}

TEST_F(Train, ResumesOnlyTheSameRun) {
  const std::string out = path("out"), tokenizer = path("other.json");
  fs::copy(model(), out, fs::copy_options::recursive);
  const std::string before = read_bytes(out + "/model.safetensors");
  expect_refusal(train(out, "--steps 4 --resume --set learning_rate=0.001 --set flow_weight=1"), 1,
                 {"run.json", "learning_rate=0.004 (now 0.001)", "flow_weight=0.2 (now 1)",
                  "only steps and minutes"});
  write_bytes(path("other.txt"), read_bytes(shared("text.txt")) + "The end.\n");
  expect_refusal("train " + std::string(kSettings) + " --steps 4 --resume --data " +
                     path("other.txt") + " --out " + out,
                 1, {"other.txt", "another text", "--out"});
  ASSERT_EQ(
      run("tokenizer train --vocab-size 270 --data " + shared("text.txt") + " --out " + tokenizer)
          .code,
      0);
  expect_refusal(train(out, "--steps 4 --resume --tokenizer " + tokenizer), 1,
                 {"other.json", "started with another one"});
  EXPECT_TRUE(read_bytes(out + "/model.safetensors") == before);

  // Runs from before there was infilling had none.
  Json old = Json::parse(read_bytes(out + "/run.json"));
  old.erase("infill_share");
  write_bytes(out + "/run.json", old.dump());
  expect_refusal(train(out, "--steps 4 --resume"), 1, {"infill_share=0 (now 0.1)"});
  EXPECT_EQ(run(train(out, "--steps 4 --resume --set infill_share=0")).code, 0);
  fs::copy(model() + "/run.json", out + "/run.json", fs::copy_options::overwrite_existing);

  // A finished run has nothing left to do; a longer one goes on.
  EXPECT_EQ(run(train(out, "--steps 4 --resume")).code, 0);
  EXPECT_TRUE(read_bytes(out + "/model.safetensors") == before);
  const Outcome longer = run(train(out, "--steps 6 --resume --json"));
  ASSERT_EQ(longer.code, 0) << longer.err;
  EXPECT_EQ(Json::parse(longer.out).at("step"), 6);
  EXPECT_FALSE(read_bytes(out + "/model.safetensors") == before);
}

TEST_F(Train, SaysWhenAnotherArithmeticGoesOn) {
  const std::string out = path("other_arithmetic");
  const auto go_on = [&](const std::string& steps, const std::string& arithmetic) {
    const Outcome outcome =
        run_shell(arithmetic + " $EVO " + with_data(shared("text.txt")) + " --out " + out +
                  " --precision f32 --resume --steps " + steps);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.err;
  };
  ASSERT_EQ(run(train(out, "--steps 2 --precision bf16")).code, 0);
  const std::string other = go_on("4", "");
  EXPECT_NE(other.find("computed in bf16, "), std::string::npos) << other;
  EXPECT_NE(other.find("from here on they are in f32, "), std::string::npos) << other;
  const std::string same = go_on("6", "");
  EXPECT_EQ(same.find("from here on"), std::string::npos) << same;
  if (ops::isa() == ops::Isa::kBaseline) return;
  // As on an older CPU.
  const std::string older = go_on("8", "ONEDNN_MAX_CPU_ISA=SSE41");
  EXPECT_NE(older.find("from here on they are in f32, baseline"), std::string::npos) << older;
}

TEST_F(Train, DamagedCheckpointsAreSteppedOver) {
  const std::string out = path("out");
  const std::string more = "--steps 4 --resume --set checkpoint_every=2";
  ASSERT_EQ(run(train(out, more)).code, 0);
  const std::string model = read_bytes(out + "/model.safetensors");
  const fs::path checkpoints = fs::path(out) / "checkpoints";
  flip_bit(checkpoints / "step-00000004/state.safetensors", 5000, 3);
  const Outcome resumed = run(with_data(shared("text.txt")) + " --out " + out + " " + more);
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("step-00000004/state.safetensors"), std::string::npos) << resumed.err;
  EXPECT_NE(resumed.err.find("resuming after step 2"), std::string::npos) << resumed.err;
  EXPECT_TRUE(read_bytes(out + "/model.safetensors") == model);  // from step 2, bit for bit

  for (const char* step : {"step-00000002", "step-00000004"}) {
    flip_bit(checkpoints / step / "state.safetensors", 5000, 3);
  }
  expect_refusal(train(out, more), 1, {"step-00000004", "damaged", "warning"});
}

TEST_F(Train, MemoryThatIsNotThereIsSaidBeforeAnythingIsDone) {
  expect_no_start(with_settings("--preset 8b --memory 20G"), 1,
                  {"not enough memory", "at least", "--memory"});
  expect_no_start(with_settings("--preset demo --memory 1M"), 1, {"not enough memory"});
  const Outcome limited =
      run_shell("ulimit -v 4000000; $EVO " + with_settings("--preset 8b --out " + path("out")));
  EXPECT_EQ(limited.code, 1);
  EXPECT_NE(limited.err.find("not enough memory"), std::string::npos) << limited.err;
  EXPECT_FALSE(fs::exists(path("out")));
}

/// With a batch of 256 sequences of 32 tokens the activations are what does not fit.
TEST_F(Train, AStepThatDoesNotFitIsComputedInPartsAndResumesBitForBit) {
  const std::string wide =
      "--set hidden_size=64 --set batch_size=256 --set sequence_length=32 --set log_every=1 ";
  const auto in_parts = [&](const std::string& out, const std::string& more) {
    return run(train(path(out), wide + "--set checkpoint_every=2 " + more));
  };
  const Outcome whole = in_parts("whole", "--steps 2");
  ASSERT_EQ(whole.code, 0) << whole.err;
  EXPECT_EQ(Json::parse(read_bytes(path("whole/run.json"))).at("micro_batch"), 0);

  const Outcome parts =
      run(train(path("parts"), wide + "--set checkpoint_every=2 --steps 4 --memory 180M"));
  ASSERT_EQ(parts.code, 0) << parts.err;
  const int64_t chosen = Json::parse(read_bytes(path("parts/run.json"))).at("micro_batch");
  EXPECT_GT(chosen, 0);
  EXPECT_LT(chosen, 256);
  // Without the bound it goes on as it began.
  const std::string straight = read_bytes(path("parts/model.safetensors"));
  fs::remove_all(path("parts/checkpoints/step-00000004"));
  ASSERT_EQ(in_parts("parts", "--steps 4 --resume").code, 0);
  EXPECT_TRUE(read_bytes(path("parts/model.safetensors")) == straight);
  // The same losses, but for the order of sums.
  const std::vector<Json> one = json_lines(path("whole/metrics.jsonl")),
                          other = json_lines(path("parts/metrics.jsonl"));
  EXPECT_NEAR(one.at(0).at("loss").get<double>(), other.at(0).at("loss").get<double>(), 1e-2);
}

TEST_F(Train, InterruptSavesAndResumeGoesOn) {
  const std::string out = path("out");
  Background program(
      train(out, "--steps 1000000 --set log_every=1 --json >" + path("summary.json")));
  ASSERT_TRUE(wait_until([&] { return !is_empty_or_absent(out + "/metrics.jsonl"); }));

  // Nobody else may write there meanwhile.
  const std::string id = std::to_string(program.id());
  expect_refusal(train(out, "--steps 1000000 --set log_every=1 --resume"), 1,
                 {out, "in use by process " + id, "another folder"});

  program.interrupt();
  EXPECT_EQ(program.wait(), 130);
  const Json summary = Json::parse(read_bytes(path("summary.json")));
  EXPECT_EQ(summary.at("interrupted"), true);
  const auto step = summary.at("step").get<int64_t>();
  EXPECT_EQ(json_lines(out + "/metrics.jsonl").back().at("step"), step);
  EXPECT_EQ(run("generate " + out + " --max-tokens 2 --json").code, 0);

  const std::string steps = std::to_string(step + 2);
  const Outcome resumed = run(train(out, "--set log_every=1 --resume --json --steps " + steps));
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(Json::parse(resumed.out).at("step"), step + 2);
  const std::vector<Json> lines = json_lines(out + "/metrics.jsonl");
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i].at("step"), i + 1);
  EXPECT_EQ(lines.size(), static_cast<size_t>(step + 2));
}

TEST_F(Train, AnInterruptBeforeTheFirstStepLeavesNoModel) {
  const std::string out = path("out");
  Background program(train(out, "--steps 1 --set gradient_accumulation=65536"));
  ASSERT_TRUE(wait_until([&] { return fs::exists(out + "/run.json"); }));
  program.interrupt();
  EXPECT_EQ(program.wait(), 130);
  EXPECT_FALSE(fs::exists(out + "/model.safetensors"));
  EXPECT_FALSE(fs::exists(out + "/checkpoints") && !fs::is_empty(out + "/checkpoints"));
}

TEST_F(Train, ResumeAfterKillContinuesBitForBit) {
  const std::string more =
      "--resume --steps 80 --set checkpoint_every=8 --set time_every=7 --set validate_every=50";
  ASSERT_EQ(run(train(path("straight"), more)).code, 0);
  const fs::path out = path("killed"), checkpoints = out / "checkpoints";
  const auto has = [&](const std::string& prefix) {
    if (!fs::exists(checkpoints)) return false;
    std::error_code ignored;  // the program removes entries while we look
    for (fs::directory_iterator entry(checkpoints, ignored), end; entry != end;
         entry.increment(ignored)) {
      if (entry->path().filename().string().starts_with(prefix)) return true;
    }
    return false;
  };
  const std::function<bool()> moments[] = {
      [&] { return fs::exists(out / "tokens.bin"); },  // before training
      [&] { return fs::exists(out / "run.json"); },    // before the first checkpoint
      [&] { return has("step-"); },                    // between two
      [&] { return has(".tmp-step-"); },               // while saving
  };
  for (const auto& moment : moments) {
    Background program(train(out, more));
    ASSERT_TRUE(wait_until(moment));
    program.end_at_once();
    EXPECT_EQ(program.wait(), -1) << "the run ended by itself";
  }
  const Outcome last = run(with_data(shared("text.txt")) + " --out " + out.string() + " " + more);
  ASSERT_EQ(last.code, 0) << last.err;
  EXPECT_NE(last.err.find("resuming after step"), std::string::npos) << last.err;
  EXPECT_FALSE(has(".tmp-step-"));
  EXPECT_TRUE(read_bytes(path("straight/model.safetensors")) ==
              read_bytes(out / "model.safetensors"));
  EXPECT_EQ(json_lines(out / "metrics.jsonl").size(),
            json_lines(path("straight/metrics.jsonl")).size());
}

/// A disk of 1.2 MB: enough for two checkpoints, not for the third that is there before the first
/// is removed. With more room the run goes on as if nothing had been.
TEST_F(Train, FullDiskLosesNothing) {
  const std::string disk = path("disk");
  const auto on_small_disk = [&](const std::string& commands) {
    return run_shell("unshare -rm sh -c 'mount -t tmpfs -o size=1200k none " + disk + " && { " +
                     commands + " }'");
  };
  fs::create_directory(disk);
  if (const Outcome outcome = on_small_disk("true;"); outcome.code != 0) {
    GTEST_SKIP() << "a full disk: this user may not mount one: " << outcome.err;
  }
  const std::string more = "--steps 12 --resume --set keep_checkpoints=2 --set checkpoint_every=2";
  ASSERT_EQ(run(train(path("straight"), more)).code, 0);
  const std::string resume = "$EVO " + train(disk + "/run", more);
  const Outcome outcome =
      on_small_disk(resume + "; echo code $?; find " + disk + " -name \"*tmp*\"; " +
                    "mount -o remount,size=64m " + disk + "; " + resume + "; echo code $?; cp " +
                    disk + "/run/model.safetensors " + path("resumed") + ";");
  EXPECT_EQ(outcome.out, "code 1\ncode 0\n") << outcome.err;
  EXPECT_NE(outcome.err.find("No space left"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("make room"), std::string::npos) << outcome.err;
  EXPECT_TRUE(read_bytes(path("resumed")) == read_bytes(path("straight/model.safetensors")));
}

}  // namespace
}  // namespace evo::testing
