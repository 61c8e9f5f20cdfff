// evo eval tasks, list and make: from the files of a benchmark to a report.
#include <algorithm>

#include "program.h"

namespace evo::testing {
namespace {

using Json = nlohmann::json;

class EvalTasks : public ProgramTest {
 protected:
  void SetUp() override {
    std::string questions;
    for (int i = 0; i < 12; ++i) {
      questions += fmt::format(
          R"({{"goal": "goal {}", "sol1": "first way", "sol2": "second way", "label": {}}})", i,
          i % 2);
      questions += "\n";
    }
    fs::create_directories(path("data/piqa"));
    write_bytes(path("data/piqa/validation.jsonl"), questions);
  }
  [[nodiscard]] std::string tasks(const std::string& names, const std::string& more = "") const {
    return "eval tasks " + model() + " --tasks " + names + " --data " + path("data") + " " + more;
  }
};

TEST_F(EvalTasks, ScoresChoices) {
  const Json json = result(tasks("piqa", "--out " + path("out")));
  ASSERT_EQ(json.at("tasks").size(), 1u);
  const Json& piqa = json["tasks"][0];
  EXPECT_EQ(piqa.at("task"), "piqa");
  EXPECT_EQ(piqa.at("metric"), "acc");
  EXPECT_EQ(piqa.at("n"), 12);
  EXPECT_FALSE(piqa.at("version").get<std::string>().empty());
  const double value = piqa.at("value");
  EXPECT_TRUE(value >= 0 && value <= 1) << value;
  EXPECT_GE(piqa.at("stderr").get<double>(), 0);
  for (const char* name :
       {"out/report.html", "out/report.md", "out/results.json", "out/examples/piqa.jsonl"}) {
    EXPECT_TRUE(fs::exists(path(name))) << name;
  }
  // Again: nothing is asked anew, and the same comes out.
  const std::string page = read_bytes(path("out/report.html"));
  EXPECT_EQ(result(tasks("piqa", "--out " + path("out"))), json);
  EXPECT_EQ(read_bytes(path("out/report.html")), page);
  expect_refusal(tasks("piqa", "--seed 2 --out " + path("out")), 1, {"other settings", "--out"});
}

TEST_F(EvalTasks, ShotsAndChatTemplates) {
  const Json plain = result(tasks("piqa"));
  const Json shown = result(tasks("piqa", "--shots 2 --out " + path("out")));
  EXPECT_EQ(plain["tasks"][0].at("shots"), 0);
  EXPECT_EQ(shown["tasks"][0].at("shots"), 2);
  EXPECT_EQ(shown.at("prompts"), "plain texts");
  expect_refusal(tasks("piqa", "--shots 3 --out " + path("out")), 1, {"shots was 2 and is 3"});
  expect_refusal(tasks("piqa", "--shots 12"), 1, {"validation.jsonl", "at least 13", "--shots"});
  expect_refusal(tasks("piqa", "--shots -1"), 2, {"--shots"});
  // A model without a template is not asked by another's.
  expect_refusal(tasks("piqa", "--chat-template"), 1, {"no chat template", "without the option"});
  expect_refusal(tasks("piqa", "--chat-template --shots-as text"), 2, {"--shots-as", "turns"});

  const fs::path chatty = path("chatty");
  fs::copy(model(), chatty, fs::copy_options::recursive);
  write_bytes(chatty / "chat_template.jinja",
              "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]");
  const std::string chat = "eval tasks " + chatty.string() + " --tasks piqa --data " +
                           path("data") + " --chat-template --shots 1";
  const Json turns = result(chat), message = result(chat + " --shots-as message");
  EXPECT_EQ(turns.at("prompts"), "chat template, shots as turns");
  EXPECT_EQ(message.at("prompts"), "chat template, shots in the question's message");
}

TEST_F(EvalTasks, ScoresByABound) {
  const Json exact = result(tasks("piqa"));
  const Json bound = result(tasks("piqa", "--score elbo:diagonal --samples 1 --limit 5"));
  EXPECT_EQ(exact.at("score"), "ar");
  EXPECT_EQ(bound.at("score"), "diagonal");
  EXPECT_EQ(bound["tasks"][0].at("n"), 5);
}

TEST_F(EvalTasks, MakesPuzzlesAndSolvesWhatItCan) {
  const std::string file = path("data/countdown3.test.jsonl");
  EXPECT_EQ(run("eval make countdown3 --count 20 --part test --out " + file).code, 0);
  for (const std::string mode : {"ar", "exact", "diffusion --window 16 --steps 4"}) {
    const Json json = result(tasks("countdown3", "--limit 6 --mode " + mode));
    EXPECT_EQ(json["tasks"][0].at("metric"), "solved");
    EXPECT_EQ(json["tasks"][0].at("n"), 6);
    EXPECT_GT(json["tasks"][0].at("tokens_per_forward").get<double>(), 0);
  }
  expect_refusal("eval make chess --out x", 2, {"kind", "sudoku"});
}

TEST_F(EvalTasks, AllLeavesOutWhatIsNotThere) {
  const Outcome outcome = run(tasks("all", "--json"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out).at("tasks").size(), 1u);
  EXPECT_NE(outcome.err.find("hellaswag is left out"), std::string::npos);
  expect_refusal(tasks("hellaswag"), 1, {"has no file", "hellaswag"});
}

TEST_F(EvalTasks, RefusesBadRequests) {
  expect_refusal(tasks("piqua"), 2, {"piqua", "piqa"});
  expect_refusal(tasks("piqa", "--score diagonal:3"), 2, {"--score", "elbo:diagonal"});
  expect_refusal(tasks("piqa", "--limit -1"), 2, {"--limit"});
  expect_refusal(tasks("piqa", "--mode fast"), 2, {"--mode"});
  expect_refusal("eval tasks " + model() + " --tasks piqa --data " + path("none"), 1,
                 {"no folder", "none"});
  write_bytes(path("data/piqa/validation.jsonl"), "{\"goal\": \"x\", ");
  expect_refusal(tasks("piqa"), 1, {"validation.jsonl", "line 1"});
}

TEST_F(EvalTasks, ListsTheFifteenAndMore) {
  const Json json = Json::parse(run("eval list --json").out);
  std::vector<std::string> names;
  for (const Json& task : json.at("tasks")) {
    names.push_back(task.at("task"));
    EXPECT_FALSE(task.at("files").empty());
  }
  for (const char* name :
       {"mmlu", "bbh", "arc_challenge", "hellaswag", "truthfulqa_mc2", "winogrande", "piqa",
        "gsm8k", "minerva_math", "gpqa_main_n_shot", "humaneval", "humaneval_infilling", "mbpp",
        "cmmlu", "ceval-valid", "lambada", "sudoku"}) {
    EXPECT_TRUE(std::ranges::find(names, name) != names.end()) << name;
  }
}

}  // namespace
}  // namespace evo::testing
