// `evo adapt`: from an autoregressive model to one that evolves, and what it refuses.
#include <nlohmann/json.hpp>

#include "program.h"

namespace evo::testing {
namespace {

class Adapt : public ProgramTest {
 protected:
  /// A model without the evolving stream, made once.
  [[nodiscard]] static std::string parent() { return model("parent", "--set flow=false"); }

  [[nodiscard]] std::string adapt(const std::string& from, const std::string& more) const {
    return "adapt " + from + " --data " + shared("text.txt") + " --out " + path("out") +
           " --quiet --set batch_size=2 --set sequence_length=16 " + more;
  }

  [[nodiscard]] std::string text_of(const std::string& folder, const char* mode) const {
    const Outcome outcome =
        run("generate " + folder + " --prompt 'The cat' --max-tokens 24 --mode " + mode);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.out;
  }
};

TEST_F(Adapt, FrozenKeepsTheParentsTextAndReports) {
  const auto report = result(adapt(parent(), "--steps 6"));
  EXPECT_EQ(report["recipe"], "frozen");
  EXPECT_EQ(report["step"], 6);
  EXPECT_GE(report["tokens_per_forward"], 0.9);
  EXPECT_GT(report["exact_speed_up"], 0);
  EXPECT_EQ(report["texts_equal_to_parent"], report["texts"]);
  const std::string text = text_of(parent(), "ar");
  EXPECT_EQ(text_of(path("out"), "ar"), text);
  EXPECT_EQ(text_of(path("out"), "exact"), text);
}

TEST_F(Adapt, FullAndResumed) {
  ASSERT_EQ(run(adapt(parent(), "--recipe full --steps 2")).code, 0);
  const auto report = result(adapt(parent(), "--recipe full --steps 4 --resume"));
  EXPECT_EQ(report["step"], 4);
  EXPECT_EQ(report["recipe"], "full");
}

/// Only what training must change is changed, then and when it goes on.
TEST_F(Adapt, KeepsTheParentsFiles) {
  using Json = nlohmann::json;
  const std::string from = path("from"), out = path("out");
  fs::copy(parent(), from, fs::copy_options::recursive);
  const auto change = [](const std::string& file, const Json& more) {
    Json json = Json::parse(read_bytes(file));
    json.update(more);
    write_bytes(file, json.dump());
    return json;
  };
  const Json manners =
      change(from + "/generation_config.json",
             {{"eos_token_id", {5, 7}}, {"temperature", 0.6}, {"do_sample", true}});
  for (const char* name : {"LICENSE", "chat_template.json", "README.md"}) {
    write_bytes(from + "/" + name, std::string("{\"chat_template\": \"") + name + "\"}");
  }
  ASSERT_EQ(run(adapt(from, "--steps 1")).code, 0);
  for (const char* name : {"LICENSE", "chat_template.json", "README.md", "tokenizer.json"}) {
    EXPECT_EQ(read_bytes(out + "/" + name), read_bytes(from + "/" + name)) << name;
  }
  EXPECT_EQ(Json::parse(read_bytes(out + "/generation_config.json")), manners);
  const Json changed = change(out + "/generation_config.json", {{"temperature", 0.9}});
  write_bytes(out + "/LICENSE", "mine");
  ASSERT_EQ(run(adapt(from, "--steps 2 --resume")).code, 0);
  EXPECT_EQ(Json::parse(read_bytes(out + "/generation_config.json")), changed);
  EXPECT_EQ(read_bytes(out + "/LICENSE"), "mine");
  // What learns documents learns how these end.
  fs::remove_all(out);
  ASSERT_EQ(run(adapt(from, "--recipe full --steps 1")).code, 0);
  const Json ends = Json::parse(read_bytes(out + "/generation_config.json")).at("eos_token_id");
  EXPECT_EQ(ends.size(), 3);
  EXPECT_EQ(ends.at(0), 5);
}

TEST_F(Adapt, DraftsKeepsTheTextsOfAnEvolvingParent) {
  const auto report = result(adapt(model(), "--recipe drafts --steps 6"));
  EXPECT_EQ(report["texts_equal_to_parent"], report["texts"]);
  // What is frozen is not counted, so that a share of the peak would be too large.
  EXPECT_NE(read_bytes(path("out") + "/metrics.jsonl").find("\"gemm_peak_fraction\":null"),
            std::string::npos);
  const std::string text = text_of(model(), "ar");
  EXPECT_EQ(text_of(path("out"), "ar"), text);
  EXPECT_EQ(text_of(path("out"), "exact"), text);
}

TEST_F(Adapt, WhatIsRefused) {
  expect_refusal(adapt(model(), ""), 1, {"Evo model already", "evo train"});
  expect_refusal(adapt(parent(), "--recipe drafts"), 1, {"no evolving stream", "frozen or full"});
  expect_refusal(adapt(path("none"), ""), 1, {"none"});
  expect_refusal(adapt(parent(), "--recipe half"), 2, {"--recipe", "frozen"});
  expect_refusal(adapt(parent(), "--set no_such_key=1"), 2, {"no_such_key"});
  EXPECT_FALSE(fs::exists(path("out")));
}

TEST_F(Adapt, ConversationsTrainTheAnswers) {
  std::string lines;
  for (int i = 0; i < 200; ++i) {
    lines +=
        "{\"messages\": [{\"role\": \"user\", \"content\": \"The cat sat?\"}, {\"role\": "
        "\"assistant\", \"content\": \"The dog ran to door " +
        std::to_string(i) + ".\"}]}\n";
  }
  write_bytes(path("chat.jsonl"), lines);
  const auto report = result("adapt " + parent() + " --data " + path("chat.jsonl") + " --out " +
                             path("out") + " --quiet --steps 2 --set batch_size=2");
  EXPECT_EQ(report["step"], 2);
}

}  // namespace
}  // namespace evo::testing
