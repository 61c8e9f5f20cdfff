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
  example.choices = after_context("Q:", choices);
  example.gold = gold;
  return example;
}

std::vector<double> graded(const Example& example, std::vector<double> log_likelihood) {
  Outcome outcome;
  outcome.log_likelihood = std::move(log_likelihood);
  return grade_choices(kBoth, example, outcome);
}

TEST(Choices, AfterContext) {
  const std::vector<Continuation> choices = after_context("Q:", {"a", " b"});
  ASSERT_EQ(choices.size(), 2u);
  EXPECT_EQ(choices[1].context, "Q:");
  EXPECT_EQ(choices[1].text, "  b");
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

TEST(Shots, DrawnAnewForEveryDocument) {
  std::vector<ShotSampler::Document> pool;
  for (int i = 0; i < 10; ++i) pool.push_back({fmt::format("k{}", i), fmt::format("{} ", i)});
  // random.Random(1234): sample(range(10), 4) gives 7, 1, 0, 9, then 9, 0, 1, 8.
  ShotSampler sampler(pool, 3, 4, "t");
  EXPECT_EQ(sampler.next("k1"), "7 0 9 ");
  EXPECT_EQ(sampler.next("none of them"), "9 0 1 ");
  expect_error([&] { ShotSampler(pool, 10, 11, "t.jsonl"); },
               {"t.jsonl", "at least 11", "found 10"});
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
