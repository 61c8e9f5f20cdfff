#include "eval/tasks/choices.h"

#include <cmath>
#include <limits>

#include "eval/tasks/shots.h"
#include "eval/tasks/testing.h"

namespace evo::eval {
namespace {

using testing::expect_error;

const std::vector<Metric> kBoth = {{.name = "acc"}, {.name = "acc_norm"}};

Example example_of(const std::vector<std::string>& choices, int64_t gold) {
  Example example;
  example.id = "sums/7";
  example.choices = after_context("Q:", choices, " ");
  example.gold = gold;
  return example;
}

std::vector<double> graded(const Example& example, std::vector<double> log_likelihood) {
  Outcome outcome;
  outcome.log_likelihood = std::move(log_likelihood);
  return grade_choices(kBoth, example, outcome);
}

TEST(Choices, AfterContext) {
  const std::vector<Continuation> choices = after_context("Q:", {"a", " b"}, " ");
  ASSERT_EQ(choices.size(), 2u);
  EXPECT_EQ(choices[1].context, "Q:");
  EXPECT_EQ(choices[1].text, "  b");
  EXPECT_EQ(choices[1].characters, 2);
}

TEST(Choices, NormalisedByCharactersWithoutTheSpace) {
  // Per character -1 and -0.95; with the space before them it would be -1 / 2 and -9.5 / 11.
  EXPECT_EQ(graded(example_of({"a", "abcdefghij"}, 0), {-1, -9.5}), (std::vector<double>{1, 0}));
  EXPECT_EQ(graded(example_of({"a", "abcdefghij"}, 1), {-1, -9.5}), (std::vector<double>{0, 1}));
  // -3 / 3 and -3.5 / 4 by characters; by bytes -3 / 9 would be the larger one.
  EXPECT_EQ(graded(example_of({"答案：", "abcd"}, 1), {-3, -3.5}), (std::vector<double>{0, 1}));
}

TEST(Choices, TheFirstOfEqualOnesIsChosen) {
  EXPECT_EQ(graded(example_of({"a", "b"}, 0), {-1, -1}), (std::vector<double>{1, 1}));
  EXPECT_EQ(graded(example_of({"a", "b"}, 1), {-1, -1}), (std::vector<double>{0, 0}));
}

TEST(Choices, NotANumberIsAnError) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  expect_error([&] { graded(example_of({"a", "b"}, 0), {-1, nan}); }, {"sums/7", "not a number"});
  EXPECT_EQ(graded(example_of({"a", "b"}, 0), {-1, -std::numeric_limits<double>::infinity()}),
            (std::vector<double>{1, 1}));
}

std::vector<ShotSampler::Document> numbered(int count) {
  std::vector<ShotSampler::Document> pool;
  for (int i = 0; i < count; ++i) {
    pool.push_back({fmt::format("k{}", i), {fmt::format("{}", i), "a"}});
  }
  return pool;
}

std::string questions(const std::vector<Shot>& shots) {
  std::string text;
  for (const Shot& shot : shots) text += shot.question + " ";
  return text;
}

TEST(Shots, DrawnAnewForEveryQuestionWhichIsLeftOut) {
  // random.Random(1234): sample(range(10), 4) gives 7, 1, 0, 9, then 9, 0, 1, 8.
  ShotSampler others(numbered(10), ShotSampler::Draw::kRandomOther, 3, "t");
  EXPECT_EQ(questions(others.next("k1")), "7 0 9 ");
  EXPECT_EQ(questions(others.next("none of them")), "9 0 1 ");
  ShotSampler all(numbered(10), ShotSampler::Draw::kRandom, 4, "t");
  EXPECT_EQ(questions(all.next("k1")), "7 1 0 9 ");
  ShotSampler none({}, ShotSampler::Draw::kRandomOther, 0, "t");
  EXPECT_TRUE(none.next("k1").empty());
  expect_error([&] { ShotSampler(numbered(10), ShotSampler::Draw::kRandomOther, 10, "t.jsonl"); },
               {"t.jsonl", "at least 11", "found 10", "--shots"});
}

TEST(Shots, ManyEqualQuestionsAreDrawnAgainWithoutThem) {
  std::vector<ShotSampler::Document> pool = numbered(4);
  pool[1].key = pool[2].key = "k0";
  // random.Random(1234): sample(range(4), 3) gives 3, 0, 2; of the last one alone, sample([3], 1).
  ShotSampler sampler(pool, ShotSampler::Draw::kRandomOther, 2, "t.jsonl");
  expect_error([&] { static_cast<void>(sampler.next("k0")); },
               {"t.jsonl", "at least 2", "found 1"});
  pool.push_back({"k4", {"4", "a"}});
  ShotSampler more(pool, ShotSampler::Draw::kRandomOther, 2, "t.jsonl");
  const std::string shown = questions(more.next("k0"));
  EXPECT_TRUE(shown == "3 4 " || shown == "4 3 ") << shown;
}

class Prompts : public ::testing::Test {
 protected:
  /// "[user]question[assistant]answer" ...
  static std::string rendered(std::span<const text::ChatMessage> messages) {
    std::string text;
    for (const auto& message : messages) text += "[" + message.role + "]" + message.content;
    return text + "[!]";
  }
  const std::vector<Shot> shots_ = {{"q1", "a1"}, {"q2", "a2"}};
};

TEST_F(Prompts, Texts) {
  const TaskOptions options;
  const PromptWriter writer(options, "About.\n\n");
  EXPECT_EQ(writer.write(shots_, "q"), "About.\n\nq1 a1\n\nq2 a2\n\nq");
  EXPECT_EQ(writer.before_choice(), " ");
  EXPECT_EQ(PromptWriter(options, "", "").write(shots_, "q"), "q1a1\n\nq2a2\n\nq");
}

TEST_F(Prompts, Conversations) {
  TaskOptions options;
  options.chat = rendered;
  const PromptWriter writer(options, "About.\n\n");
  EXPECT_EQ(writer.write(shots_, "q"),
            "[system]About.\n\n[user]q1[assistant]a1[user]q2[assistant]a2[user]q[!]");
  EXPECT_EQ(writer.before_choice(), "");
  options.shots_are_turns = false;
  EXPECT_EQ(writer.write(shots_, "q"), "[system]About.\n\n[user]q1 a1\n\nq2 a2\n\nq[!]");
  EXPECT_EQ(PromptWriter(options).write({}, "q"), "[user]q[!]");
}

TEST(Tasks, FoundByName) {
  EXPECT_EQ(find_tasks("all").size(), all_tasks().size());
  const std::vector<const Task*> found = find_tasks("piqa,mmlu,piqa");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0]->info().name, "piqa");
  EXPECT_EQ(found[1]->info().name, "mmlu");
  expect_error<UsageError>([] { static_cast<void>(find_tasks("piqa,nope")); },
                           {"\"nope\"", "mmlu", "lambada"});
  expect_error<UsageError>([] { static_cast<void>(find_tasks("piqa,")); }, {"no task \"\""});
  expect_error<UsageError>([] { static_cast<void>(find_tasks("")); }, {"no task \"\""});
}

TEST(Tasks, InfoIsComplete) {
  std::vector<std::string> names;
  for (const std::unique_ptr<Task>& task : all_tasks()) {
    const TaskInfo& info = task->info();
    EXPECT_FALSE(info.version.empty()) << info.name;
    EXPECT_FALSE(info.source.empty()) << info.name;
    EXPECT_FALSE(info.metrics.empty()) << info.name;
    names.push_back(info.name);
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

}  // namespace
}  // namespace evo::eval
