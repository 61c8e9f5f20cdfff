#include "eval/runner.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <utility>

#include "base/testing.h"
#include "decode/testing.h"
#include "files/files.h"

namespace evo::eval {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::TemporaryFolder;
using testing::tiny_config;

const tokenizer::Tokenizer& byte_tokenizer() {
  static const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::from_merges({});
  return tokenizer;
}

const model::Model& asked_model() {
  static const model::Model model = testing::tiny_model(tiny_config(257), 2);
  return model;
}

TaskInfo info_of(std::string name) {
  return {.name = std::move(name),
          .version = "v1",
          .source = "here",
          .metrics = {{.name = "acc"}, {.name = "length"}},
          .files = {"none"}};
}

/// 150 questions with three answers.
class Choosing final : public Task {
 public:
  explicit Choosing(std::string question) : Task(info_of("choosing")), question_(question) {}
  std::vector<Example> load(const DataFolder&, const TaskOptions& options) const override {
    std::vector<Example> examples(static_cast<size_t>(options.limit > 0 ? options.limit : 150));
    for (size_t i = 0; i < examples.size(); ++i) {
      examples[i].id = fmt::format("{}{}", question_, i);
      examples[i].group = i % 2 == 0 ? "even" : "odd";
      for (const char* text : {" a", " bc", " def"}) {
        examples[i].choices.push_back({fmt::format("{} {}: ", question_, i), text});
      }
      examples[i].gold = static_cast<int64_t>(i % 3);
    }
    return examples;
  }
  std::vector<double> grade(const Example& example, const Outcome& outcome) const override {
    const auto best = std::ranges::max_element(outcome.log_likelihood);
    const auto choice = best - outcome.log_likelihood.begin();
    return {choice == example.gold ? 1.0 : 0.0, -*best};
  }

 private:
  std::string question_;
};

/// 70 texts of different lengths.
class Writing final : public Task {
 public:
  Writing() : Task(info_of("writing")) {}
  std::vector<Example> load(const DataFolder&, const TaskOptions&) const override {
    std::vector<Example> examples(70);
    for (size_t i = 0; i < examples.size(); ++i) {
      examples[i].id = fmt::format("{}", i);
      examples[i].prompt = fmt::format("text {}", i);
      examples[i].max_tokens = static_cast<int64_t>(i % 5);
      examples[i].stop = {"\n"};
      if (i % 7 == 0) examples[i].suffix = "end";
    }
    return examples;
  }
  std::vector<double> grade(const Example&, const Outcome& outcome) const override {
    return {outcome.text.empty() ? 0.0 : 1.0, static_cast<double>(outcome.text.size())};
  }
};

class Runner : public ::testing::Test {
 protected:
  EvalResults run(const std::string& out, const EvalOptions& options = {}) const {
    EvalOptions with_out = options;
    with_out.out = out.empty() ? fs::path() : folder_ / out;
    with_out.quiet = true;
    const Task* const tasks[] = {&choosing_, &writing_};
    const EvalModel model{asked_model(), byte_tokenizer(), "tiny", "f", "f32", "0"};
    return evaluate(model, DataFolder(folder_.path()), tasks, with_out);
  }
  std::string text(const std::string& name) const {
    return files::read_file(folder_ / name, int64_t{1} << 30);
  }
  void expect_equal_folders(const std::string& a, const std::string& b) const {
    for (const char* name : {"/results.json", "/examples/choosing.jsonl", "/examples/writing.jsonl",
                             "/traces/writing.jsonl.zst"}) {
      EXPECT_EQ(text(a + name), text(b + name)) << name;
    }
  }

  TemporaryFolder folder_;
  Choosing choosing_{"Question"};
  Writing writing_;
};

TEST_F(Runner, TwoRunsGiveTheSameBytes) {
  run("a");
  run("b");
  expect_equal_folders("a", "b");
  run("a");  // finished: nothing changes
  expect_equal_folders("a", "b");
}

/// Cuts the file behind `lines` lines and a piece of the next one.
void cut_file(const fs::path& path, size_t lines) {
  const std::string text = files::read_file(path, int64_t{1} << 30);
  size_t end = 0;
  for (size_t i = 0; i < lines; ++i) end = text.find('\n', end) + 1;
  std::ofstream(path) << text.substr(0, end + 9);
}

TEST_F(Runner, AnInterruptedRunGoesOnToTheSameEnd) {
  run("a");
  run("b");
  cut_file(folder_ / "b/examples/choosing.jsonl", 128);
  cut_file(folder_ / "b/examples/writing.jsonl", 64);
  fs::remove(folder_ / "b/results.json");
  run("b");
  expect_equal_folders("a", "b");
}

TEST_F(Runner, ResultsAreThoseOfTheExamples) {
  const EvalResults results = run("");
  ASSERT_EQ(results.tasks.size(), 2u);
  const TaskResult& choosing = results.tasks[0];
  EXPECT_EQ(choosing.n, 150);
  ASSERT_EQ(choosing.groups.size(), 2u);
  EXPECT_EQ(choosing.groups[0].n + choosing.groups[1].n, 150);
  EXPECT_NEAR(choosing.metrics[0].value,
              (choosing.groups[0].metrics[0].value + choosing.groups[1].metrics[0].value) / 2,
              1e-12);
  const double p = choosing.metrics[0].value;
  EXPECT_NEAR(choosing.metrics[0].standard_error, std::sqrt(p * (1 - p) / 149), 1e-12);
  int64_t judged = 0;
  for (const ReliabilityBin& bin : choosing.choice_reliability) judged += bin.count;
  EXPECT_EQ(judged, 150);
  EXPECT_TRUE(choosing.draft_reliability.empty());
  const TaskResult& writing = results.tasks[1];
  EXPECT_EQ(writing.n, 70);
  EXPECT_GT(writing.tokens_per_forward, 0);
  EXPECT_GT(writing.generated_tokens, 70);
  EXPECT_TRUE(writing.trace.empty());  // nothing is kept
}

TEST_F(Runner, HowManyTextsShareAPassDoesNotMatter) {
  EvalOptions options;
  options.ask.sessions = 1;
  run("a", options);
  options.ask.sessions = 5;
  run("b", options);
  EXPECT_EQ(text("a/examples/choosing.jsonl"), text("b/examples/choosing.jsonl"));
  // Passes are shared otherwise, but the texts are the same.
  std::ifstream a(folder_ / "a/examples/writing.jsonl"), b(folder_ / "b/examples/writing.jsonl");
  std::string one, other;
  for (int i = 0; i < 70; ++i) {
    ASSERT_TRUE(std::getline(a, one) && std::getline(b, other));
    EXPECT_EQ(json::Record::parse(one, "a").get_string("text"),
              json::Record::parse(other, "b").get_string("text"));
  }
}

TEST_F(Runner, EverythingThatChangesAnAnswerIsLookedAt) {
  run("a");
  const std::vector<std::pair<std::string, std::function<void(EvalOptions&)>>> changes = {
      {"--mode was exact and is ar", [](auto& o) { o.ask.decode.mode = decode::Mode::kAr; }},
      {"--balance was 0.5 and is 0.2", [](auto& o) { o.ask.decode.balance = 0.2; }},
      {"--window was 0 and is 3", [](auto& o) { o.ask.decode.window = 3; }},
      {"--steps was 1 and is 2", [](auto& o) { o.ask.decode.steps = 2; }},
      {"--temperature was 0 and is 0.5", [](auto& o) { o.ask.decode.sampler.temperature = 0.5; }},
      {"--top-k was 0 and is 9", [](auto& o) { o.ask.decode.sampler.top_k = 9; }},
      {"--top-p was 1 and is 0.5", [](auto& o) { o.ask.decode.sampler.top_p = 0.5; }},
      {"--seed was 1 and is 2", [](auto& o) { o.ask.decode.seed = 2; }},
      {"--score was ar and is diagonal",
       [](auto& o) { o.ask.score.path = flow::parse_path("diagonal"); }},
      {"--samples was 4 and is 5", [](auto& o) { o.ask.score.time_samples = 5; }},
      {"--begin was auto and is none", [](auto& o) { o.ask.begin_texts = false; }},
      {"--limit was 0 and is 10", [](auto& o) { o.task.limit = 10; }},
      {"--sessions was 8 and is 2", [](auto& o) { o.ask.sessions = 2; }},
  };
  for (const auto& [difference, change] : changes) {
    EvalOptions options;
    change(options);
    expect_error([&] { run("a", options); }, {"other settings", difference, "--out"});
  }
  run("a");
}

TEST_F(Runner, AnotherModelOrProgramIsAnotherRun) {
  run("a");
  const Task* const tasks[] = {&choosing_};
  EvalOptions options;
  options.out = folder_ / "a";
  options.quiet = true;
  const EvalModel same{asked_model(), byte_tokenizer(), "another name", "f", "f32", "0"};
  evaluate(same, DataFolder(folder_.path()), tasks, options);
  const std::vector<std::pair<std::string, std::function<void(EvalModel&)>>> changes = {
      {"weights was f and is g", [](auto& m) { m.fingerprint = "g"; }},
      {"files of the model was not known and is h", [](auto& m) { m.files = "h"; }},
      {"--precision was f32 and is int8", [](auto& m) { m.precision = "int8"; }},
      {"version of evo was 0 and is 1", [](auto& m) { m.program = "1"; }},
  };
  for (const auto& [difference, change] : changes) {
    EvalModel model = same;
    change(model);
    expect_error([&] { evaluate(model, DataFolder(folder_.path()), tasks, options); },
                 {"other settings", difference});
  }
}

/// One example, of which everything may differ.
class Changing final : public Task {
 public:
  explicit Changing(std::string version = "v1") : Task(with(std::move(version))) {}
  static TaskInfo with(std::string version) {
    TaskInfo info = info_of("changing");
    info.version = std::move(version);
    return info;
  }
  std::vector<Example> load(const DataFolder&, const TaskOptions&) const override {
    return {example};
  }
  std::vector<double> grade(const Example&, const Outcome&) const override { return {0, 0}; }

  static Example question() {
    Example example;
    example.id = "1";
    example.choices = {{"a", "b"}, {"c", "d"}};
    example.gold = 0;
    return example;
  }
  Example example = question();
};

TEST_F(Runner, OtherDataIsAnotherRun) {
  EvalOptions options;
  options.out = folder_ / "a";
  options.quiet = true;
  const EvalModel model{asked_model(), byte_tokenizer(), "tiny", "f", "f32", "0"};
  const auto evaluate_one = [&](const Task& task) {
    const Task* const tasks[] = {&task};
    evaluate(model, DataFolder(folder_.path()), tasks, options);
  };
  evaluate_one(Changing());
  evaluate_one(Changing());
  const std::vector<std::function<void(Example&)>> changes = {
      [](Example& e) { e.group = "g"; },
      [](Example& e) { e.choices[0].context = "x"; },
      [](Example& e) { e.choices[1].text = "x"; },
      [](Example& e) { e.choices.pop_back(); },
      [](Example& e) {
        e.choices = {{"ab", ""}, {"c", "d"}};
      },
      [](Example& e) { e.prompt = "x"; },
      [](Example& e) { e.suffix = "x"; },
      [](Example& e) { e.stop = {"x"}; },
      [](Example& e) { e.max_tokens = 1; },
      [](Example& e) { e.gold = 1; },
      [](Example& e) { e.labels = {0.5}; },
      [](Example& e) { e.targets = {"x"}; },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    Changing changed;
    changes[i](changed.example);
    expect_error([&] { evaluate_one(changed); },
                 {"changing on other examples", "data was ", "--out"});
  }
  expect_error([&] { evaluate_one(Changing("v2")); }, {"version of the task was v1 and is v2"});
  // Answers to nobody knows what.
  fs::remove(folder_ / "a/run.json");
  expect_error([&] { evaluate_one(Changing()); }, {"run.json", "answers of changing", "--out"});
  files::write_atomically(folder_ / "a/run.json", "{\"model\": \"tiny\"}");
  expect_error([&] { evaluate_one(Changing()); }, {"earlier program", "--out"});
}

// --------------------------------------------------------------------------- asking

TEST(Asker, BlanksAtTheEndOfAContextAreTheContinuations) {
  std::vector<Example> examples(1);
  examples[0].choices = {{"one two", " three"}, {"one two ", "three"}};
  const auto answers = Asker(asked_model(), byte_tokenizer(), {}).ask(examples, 1);
  const auto& nats = answers[0].outcome.log_likelihood;
  EXPECT_EQ(nats[0], nats[1]);
}

TEST(Asker, SaysWhatItCut) {
  const auto context = static_cast<size_t>(asked_model().config().max_position_embeddings);
  std::vector<Example> examples(2);
  examples[0].choices = {{std::string(context - 3, 'x'), "abc"}};
  examples[1].choices = {{std::string(context - 2, 'x'), "abc"}};
  const auto answers = Asker(asked_model(), byte_tokenizer(), {}).ask(examples, 1);
  EXPECT_FALSE(answers[0].cut);
  EXPECT_TRUE(answers[1].cut);  // <|endoftext|> goes
  std::vector<Example> longest(1);
  longest[0].choices = {{"x", std::string(context + 1, 'y')}};
  expect_error([&] { (void)Asker(asked_model(), byte_tokenizer(), {}).ask(longest, 1); },
               {"a choice has", "context"});
}

TEST(Asker, GeneratesWhatGenerateDoes) {
  std::vector<Example> examples(3);
  for (size_t i = 0; i < 3; ++i) {
    examples[i].prompt = fmt::format("prompt {}", i);
    examples[i].max_tokens = 12;
  }
  for (const decode::Mode mode :
       {decode::Mode::kAr, decode::Mode::kExact, decode::Mode::kEvo, decode::Mode::kDiffusion}) {
    AskOptions options;
    options.decode.mode = mode;
    options.decode.window = 4;
    const auto answers = Asker(asked_model(), byte_tokenizer(), options).ask(examples, 1);
    for (size_t i = 0; i < 3; ++i) {
      decode::GenerateOptions alone;
      alone.decode = options.decode;
      alone.decode.max_tokens = 12;
      const decode::Generation expected =
          decode::generate(decode::Decoder(asked_model()), byte_tokenizer(),
                           decode::text_prompt(byte_tokenizer(), examples[i].prompt), alone);
      EXPECT_EQ(answers[i].outcome.text, expected.text) << decode::mode_name(mode) << ' ' << i;
      EXPECT_EQ(answers[i].passes, expected.passes);
    }
  }
}

}  // namespace
}  // namespace evo::eval
