// Corpora as folders of shards: `evo tokenizer shard`, and `evo train --data FOLDER[=WEIGHT]`.
#include <nlohmann/json.hpp>

#include "program.h"

namespace evo::testing {
namespace {

using Json = nlohmann::json;

class CliData : public ProgramTest {
 protected:
  /// `count` short documents, which begin with `word`.
  static std::string documents(const std::string& word, int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      text += word + " sat on mat " + std::to_string(i * 7919 % 1000) + ".\n<|endoftext|>\n";
    }
    return text;
  }
  void write_texts() const {
    write_bytes(path("cats.txt"), documents("The cat", 300));
    write_bytes(path("dogs.txt"), documents("A dog", 200));
    const Outcome outcome = run("tokenizer train --vocab-size 280 --data " + path("cats.txt") +
                                " --out " + path("tokenizer.json"));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
  [[nodiscard]] std::string shard(const std::string& text, const std::string& out,
                                  const std::string& more = "") const {
    const bool sized = more.find("--shard-tokens") != std::string::npos;
    return "tokenizer shard " + path("tokenizer.json") + " --data " + path(text) + " --out " +
           path(out) + (sized ? " --quiet " : " --shard-tokens 1K --quiet ") + more;
  }
  void make_shards() const {
    write_texts();
    for (const char* name : {"cats", "dogs"}) {
      const Outcome outcome = run(shard(std::string(name) + ".txt", name));
      ASSERT_EQ(outcome.code, 0) << outcome.err;
    }
  }
  [[nodiscard]] std::string train(const std::string& data, const std::string& out,
                                  const std::string& more = "--steps 4") const {
    return std::string("train ") + kSettings + " --out " + path(out) + " --quiet --data " + data +
           " " + more;
  }
  /// Files of shards in a folder, by name.
  static std::map<std::string, std::string> shards_in(const std::string& folder) {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name != ".lock") all[name] = read_bytes(entry.path());
    }
    return all;
  }
};

TEST_F(CliData, TrainingOnShardsIsTrainingOnTheText) {
  write_texts();
  const Outcome made = run(shard("cats.txt", "cats", "--json"));
  ASSERT_EQ(made.code, 0) << made.err;
  const Json summary = Json::parse(made.out);
  EXPECT_EQ(summary.at("documents"), 300);
  EXPECT_GT(summary.at("shards"), 2);
  EXPECT_EQ(summary.at("kept"), 0);
  EXPECT_EQ(Json::parse(run(shard("cats.txt", "cats", "--json")).out).at("kept"),
            summary.at("shards"));

  const Outcome from_text =
      run(train(path("cats.txt"), "text", "--steps 4 --tokenizer " + path("tokenizer.json")));
  ASSERT_EQ(from_text.code, 0) << from_text.err;
  const Outcome from_shards = run(train(path("cats"), "shards"));  // with their own tokenizer
  ASSERT_EQ(from_shards.code, 0) << from_shards.err;
  EXPECT_TRUE(read_bytes(path("text/model.safetensors")) ==
              read_bytes(path("shards/model.safetensors")));
  EXPECT_FALSE(fs::exists(path("shards/tokens.bin")));
  EXPECT_FALSE(fs::exists(path("text/data.json")));
  expect_refusal(train(path("cats.txt"), "shards", "--steps 4 --resume"), 1, {"another text"});
  expect_refusal(train(path("cats"), "text", "--steps 4 --resume"), 1, {"another text"});
}

TEST_F(CliData, MixturesResumeBitForBit) {
  make_shards();
  const std::string data = path("cats") + "=0.7 " + path("dogs") + "=0.3";
  const std::string more = "--steps 8 --set checkpoint_every=4 --set keep_checkpoints=3";
  const Outcome straight = run(train(data, "mixed", more));
  ASSERT_EQ(straight.code, 0) << straight.err;
  const Json record = Json::parse(read_bytes(path("mixed/data.json")));
  EXPECT_EQ(record.at("sources")[1].at("weight"), 0.3);
  EXPECT_EQ(record.at("sources")[1].at("skipped"), Json::array());
  const std::string model = read_bytes(path("mixed/model.safetensors"));

  fs::remove_all(path("mixed/checkpoints/step-00000008"));
  fs::remove(path("mixed/model.safetensors"));
  const Outcome resumed = run(train(data, "mixed", more + " --resume"));
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_TRUE(read_bytes(path("mixed/model.safetensors")) == model);

  for (const std::string& other :
       {path("cats") + "=0.6 " + path("dogs") + "=0.3", path("cats") + " " + path("dogs"),
        path("dogs") + "=0.3 " + path("cats") + "=0.7"}) {
    expect_refusal(train(other, "mixed", more + " --resume"), 1, {"data.json", "other weights"});
  }
  ASSERT_EQ(run(train(path("cats") + " " + path("dogs"), "pool", more)).code, 0);
  EXPECT_FALSE(read_bytes(path("pool/model.safetensors")) == model);
}

TEST_F(CliData, AFolderIsItsFiles) {
  write_texts();
  fs::create_directories(path("all/more"));
  write_bytes(path("all/b.txt"), documents("The cat", 200));
  write_bytes(path("all/more/a.txt"), documents("A dog", 100));
  write_bytes(path("all/.notes"), documents("Not this", 10));
  write_bytes(path("all/picture.png"), "\x89PNG\r\n");
  const std::string files = path("all/b.txt") + " " + path("all/more/a.txt"), folder = path("all");
  const std::string with_tokenizer = "--steps 4 --tokenizer " + path("tokenizer.json");
  ASSERT_EQ(run(train(files, "files", with_tokenizer)).code, 0);
  const Outcome outcome = run(train(folder, "folder", with_tokenizer));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("leaving a file out: " + path("all/picture.png")), std::string::npos);
  EXPECT_TRUE(read_bytes(path("files/model.safetensors")) ==
              read_bytes(path("folder/model.safetensors")));
  EXPECT_EQ(run(train(folder, "folder", with_tokenizer + " --resume")).code, 0);

  const auto same = [&](const std::string& command, const std::string& file) {
    EXPECT_EQ(run(command + files + " --out " + path("x/" + file)).code, 0) << command;
    EXPECT_EQ(run(command + folder + " --out " + path("y/" + file)).code, 0) << command;
    EXPECT_TRUE(read_bytes(path("x/" + file)) == read_bytes(path("y/" + file))) << command;
  };
  fs::create_directory(path("x"));
  fs::create_directory(path("y"));
  same("tokenizer train --vocab-size 270 --data ", "tokenizer.json");
  same("tokenizer encode " + path("tokenizer.json") + " --data ", "tokens");
  EXPECT_EQ(run("eval likelihood " + path("files") + " --limit 50 --data " + folder).code, 0);
}

TEST_F(CliData, WhatIsNoTextIsRefusedByEveryCommand) {
  write_texts();
  write_bytes(path("table.csv"), "text,label\nThe cat sat,1\n");
  write_bytes(path("array.json"), "[{\"text\": \"The cat sat\"}]");
  write_bytes(path("wide.txt"), std::string("\xFF\xFET\0h\0e\0", 8));
  for (const auto& [file, what] : {std::pair("table.csv", "csv"), std::pair("array.json", "array"),
                                   std::pair("wide.txt", "iconv")}) {
    const std::string data = " --data " + path(file) + " --out " + path("new");
    expect_refusal(train(path(file), "new"), 1, {file, what, "expected text"});
    expect_refusal("tokenizer train" + data, 1, {file, what});
    expect_refusal("tokenizer encode " + path("tokenizer.json") + data, 1, {file, what});
    expect_refusal("tokenizer shard " + path("tokenizer.json") + data, 1, {file, what});
    expect_refusal("eval likelihood " + model() + " --data " + path(file), 1, {file, what});
    EXPECT_FALSE(fs::exists(path("new"))) << file;
  }
}

TEST_F(CliData, ABadLineIsSkippedAndNamed) {
  write_texts();
  std::string lines;
  for (int i = 0; i < 40; ++i)
    lines += "{\"text\": \"The cat sat on mat " + std::to_string(i) + "\"}\n";
  write_bytes(path("good.jsonl"), lines);
  write_bytes(path("bad.jsonl"), lines + "{\"text\": \"The download was cut sh");
  const std::string more = "--steps 4 --tokenizer " + path("tokenizer.json");
  ASSERT_EQ(run(train(path("good.jsonl"), "good", more)).code, 0);
  const Outcome outcome = run(train(path("bad.jsonl"), "bad", more));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const size_t note = outcome.err.find("skipping a line: " + path("bad.jsonl") + ", line 41");
  ASSERT_NE(note, std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("skipping a line", note + 1), std::string::npos) << "twice";
  EXPECT_TRUE(read_bytes(path("good/model.safetensors")) ==
              read_bytes(path("bad/model.safetensors")));
}

TEST_F(CliData, BadShardsStopTheRunUnlessSkipped) {
  make_shards();
  const std::string data = path("cats") + "=1 " + path("dogs") + "=1", bad = "shard-00001.tokens";
  ASSERT_EQ(run(train(data, "good")).code, 0);
  flip_bit(path("cats/" + bad), 500, 3);
  expect_refusal(train(data, "bad"), 1,
                 {"cats/" + bad, "checksum", "expected", "--skip-bad-shards"});
  EXPECT_FALSE(fs::exists(path("bad/run.json")));
  const Outcome skipped = run(train(data, "bad", "--steps 4 --skip-bad-shards"));
  ASSERT_EQ(skipped.code, 0) << skipped.err;
  const size_t warning = skipped.err.find("skipping a bad shard: " + path("cats/" + bad));
  ASSERT_NE(warning, std::string::npos) << skipped.err;
  EXPECT_EQ(skipped.err.find("skipping a bad shard", warning + 1), std::string::npos);
  EXPECT_EQ(Json::parse(read_bytes(path("bad/data.json"))).at("sources")[0].at("skipped"),
            Json::array({bad}));

  // A run that began with the shard can go on without it, but says so.
  const Outcome went_on = run(train(data, "good", "--steps 6 --resume --skip-bad-shards"));
  EXPECT_EQ(went_on.code, 0) << went_on.err;
  EXPECT_NE(went_on.err.find("other shards are skipped than before"), std::string::npos);

  ASSERT_EQ(run(shard("cats.txt", "cats")).code, 0);  // makes it anew
  EXPECT_EQ(run(train(data, "again")).code, 0);
  fs::remove(path("cats/" + bad));
  expect_refusal(train(data, "bad2"), 1, {"cats/" + bad, "No such file"});
}

TEST_F(CliData, WrongUsage) {
  make_shards();
  const std::string cats = path("cats"), dogs = path("dogs");
  expect_refusal(train(cats + " " + path("cats.txt"), "out"), 2, {"--data", "found both"});
  expect_refusal(train(cats + "=1 " + dogs, "out"), 2, {"all folders a weight"});
  expect_refusal(train(cats + " " + cats + "/", "out"), 2, {"comes twice"});
  for (const char* weight : {"0", "-1", "inf", "nan"}) {
    expect_refusal(train(cats + "=" + weight, "out"), 2, {"--data", "a weight above 0"});
  }
  expect_refusal(train(path("cats.txt") + "=2", "out"), 2, {"weights are for folders"});
  expect_refusal(train(path("none") + "=x", "out"), 1, {"none=x", "No such file"});
  fs::create_directory(path("empty"));
  expect_refusal(train(path("empty"), "out"), 1, {"empty", "no text in this folder", "index.json"});
  write_bytes(path("empty/index.json"), "{");
  expect_refusal(train(path("empty"), "out"), 1, {"empty/index.json", "not valid JSON"});
  const std::string other = path("other.json");
  ASSERT_EQ(
      run("tokenizer train --vocab-size 270 --data " + path("dogs.txt") + " --out " + other).code,
      0);
  expect_refusal(train(cats, "out", "--steps 1 --tokenizer " + other), 1,
                 {"cats", "made by another tokenizer"});
  expect_refusal(
      train(cats + "=1 " + dogs + "=1", "out", "--steps 1 --set validation_fraction=0.2"), 1,
      {"validation_fraction", "hold out"});
  expect_refusal(shard("cats.txt", "cats", "--held-out 0.2"), 1, {"other texts", "another --out"});
  expect_refusal(shard("cats.txt", "new", "--held-out 1"), 2, {"--held-out", "0 to below 1"});
  expect_refusal(shard("cats.txt", "new", "--shard-tokens 0"), 2, {"--shard-tokens"});
  expect_refusal(shard("none.txt", "new"), 1, {"none.txt", "No such file"});
  EXPECT_FALSE(fs::exists(path("new")));
}

/// Ended by Ctrl-C and at once, it goes on, and ends with the same bytes.
TEST_F(CliData, InterruptedShardingGoesOn) {
  write_texts();
  write_bytes(path("long.txt"), documents("The cat that", 200'000));
  const std::string more = "--shard-tokens 150K --threads 1";
  const auto command = [&](const char* out) { return shard("long.txt", out, more); };
  ASSERT_EQ(run(command("straight")).code, 0);
  const auto index = [&] {
    const std::string file = path("stopped/index.json");
    return fs::exists(file) ? read_bytes(file) : std::string();
  };
  {
    Background program(command("stopped"));
    ASSERT_TRUE(wait_until([&] { return !index().empty(); }));
    program.end_at_once();
    EXPECT_EQ(program.wait(), -1) << "it ended by itself";
  }
  expect_refusal(train(path("stopped"), "out"), 1, {"stopped", "only the first", "goes on"});
  {
    const std::string before = index();
    Background program(command("stopped") + " 2>" + path("messages"));
    ASSERT_TRUE(wait_until([&] { return index() != before; }));
    program.interrupt();
    EXPECT_EQ(program.wait(), 130);
  }
  EXPECT_NE(read_bytes(path("messages")).find("the same command goes on"), std::string::npos);
  EXPECT_TRUE(leftovers(path("stopped")).empty());
  const Outcome last = run(command("stopped") + " --json");
  ASSERT_EQ(last.code, 0) << last.err;
  EXPECT_GT(Json::parse(last.out).at("kept"), 0);
  EXPECT_TRUE(shards_in(path("stopped")) == shards_in(path("straight")));
}

TEST_F(CliData, HelpTeaches) {
  const std::string help = run("tokenizer shard --help").out;
  for (const char* word : {"--shard-tokens", "--held-out", "evo train", "=0.7"}) {
    EXPECT_NE(help.find(word), std::string::npos) << word;
  }
  for (const char* word : {"--skip-bad-shards", "FOLDER=WEIGHT"}) {
    EXPECT_NE(run("train --help").out.find(word), std::string::npos) << word;
  }
}

}  // namespace
}  // namespace evo::testing
