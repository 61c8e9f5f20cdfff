#include "decode/policy/pass_times.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/random.h"

namespace evo::decode {
namespace {

constexpr CostRatios kMachine{4e-3, 0.02, 0.2, 0.15, 0.25};

/// A pass of so many rows on a machine, and steps ahead; times are off by a few percent.
PassRun run_on(const CostRatios& machine, double rows, double steps, Random& random) {
  const PassCost cost(machine);
  const auto disturbed = [&](double seconds) { return seconds * std::exp(0.04 * random.normal()); };
  PassRun run{.rows = rows, .heads = rows, .seconds = disturbed(cost.pass(rows, rows))};
  run.ahead_steps = steps;
  run.ahead_seconds = disturbed(steps * cost.draft(DraftKind::kAhead));
  return run;
}

void expect_costs(const PassTimes& times, const CostRatios& machine, double share) {
  const PassCost cost(machine);
  for (double rows : {1, 2, 5}) {
    EXPECT_NEAR(times.cost().pass(rows, rows) / cost.pass(rows, rows), 1, share) << rows;
  }
  const double step = cost.draft(DraftKind::kAhead);
  EXPECT_NEAR(times.cost().draft(DraftKind::kAhead) / step, 1, 2 * share);
}

/// Plain passes say what they take; the shares are as they were guessed, of that.
TEST(PassTimes, PlainPassesSayWhatOneRowTakes) {
  PassTimes times;
  Random random(1, 1);
  const double before = times.cost().pass(9, 9) / times.cost().pass(1, 1);
  for (int i = 0; i < 12; ++i) times.learn(run_on(kMachine, 1, 0, random));
  EXPECT_NEAR(times.cost().pass(1, 1), kMachine.scale, 0.05 * kMachine.scale);
  EXPECT_NEAR(times.cost().pass(9, 9) / times.cost().pass(1, 1), before, 1e-9);
}

/// A handful of passes that draft among plain ones is enough.
TEST(PassTimes, PassesThatDraftSayTheRest) {
  PassTimes times;
  Random random(1, 2);
  for (int i = 0; i < 40; ++i) {
    const bool drafts = i % 4 == 3;
    times.learn(run_on(kMachine, drafts ? 5 : 1, drafts ? 4 : 0, random));
  }
  expect_costs(times, kMachine, 0.08);
}

/// The first passes and drafts of a process are slow, and tell nothing.
TEST(PassTimes, ColdOnesDoNotCount) {
  PassTimes times;
  Random random(1, 3);
  for (int i = 0; i < 10; ++i) {
    PassRun run = run_on(kMachine, 1, i >= 4 ? 1 : 0, random);
    if (i < 2) run.seconds *= 20;
    if (i == 4) run.ahead_seconds *= 20;
    times.learn(run);
  }
  expect_costs(times, kMachine, 0.15);
}

/// When all takes longer, for a longer context or beside other programs, shares stay.
TEST(PassTimes, ASlowerMachineIsSlowerAtAll) {
  PassTimes times;
  Random random(1, 4);
  CostRatios machine = kMachine;
  for (int i = 0; i < 300; ++i) {
    if (i > 100) machine.scale = kMachine.scale * std::min(2.0, 1 + 0.02 * (i - 100));
    times.learn(run_on(machine, 1 + i % 5, i % 3, random));
  }
  expect_costs(times, machine, 0.12);
}

TEST(PassTimes, AnInterruptionNowAndThenIsNoCost) {
  PassTimes times;
  Random random(1, 5);
  for (int i = 0; i < 400; ++i) {
    PassRun run = run_on(kMachine, 1 + i % 5, i % 3, random);
    if (i % 10 == 7) run.seconds += 0.05;
    if (i % 15 == 8) run.ahead_seconds += run.ahead_steps > 0 ? 0.05 : 0;
    times.learn(run);
  }
  expect_costs(times, kMachine, 0.15);
}

/// What was learnt elsewhere counts from the first pass on, and is forgotten if passes say so.
TEST(PassTimes, NoticesThatWhatItRecallsIsNotTrue) {
  Random random(1, 6);
  PassTimes teacher;
  for (int i = 0; i < 400; ++i) teacher.learn(run_on(kMachine, 1 + i % 5, i % 3, random));
  CostRatios other = kMachine;
  other.ahead_step = 0.02;
  other.few_rows = 0.15;
  PassTimes same, changed;
  same.recall(teacher.known());
  changed.recall(teacher.known());
  for (int i = 0; i < 8; ++i) {
    same.learn(run_on(kMachine, 1, 0, random));
    changed.learn(run_on(other, 1, 0, random));
  }
  expect_costs(same, kMachine, 0.12);  // drafts too, though none ran here
  for (int i = 0; i < 40; ++i) changed.learn(run_on(other, 1 + i % 5, i % 3, random));
  expect_costs(changed, other, 0.2);
}

TEST(PassTimes, TimesThatAreNoneTellNothing) {
  PassTimes times;
  Random random(1, 7);
  for (int i = 0; i < 40; ++i) {
    PassRun run = run_on(kMachine, 1 + i % 5, i % 3, random);
    if (i % 5 == 4) run.seconds = i % 2 == 0 ? 0 : std::nan("");
    times.learn(run);
  }
  expect_costs(times, kMachine, 0.15);
}

TEST(PassTimes, RecallsOnlyWhatCanBeTimes) {
  PassTimes times;
  PassTimes::Known known = times.known();
  for (const double bad : {std::nan(""), HUGE_VAL, -1e3}) {
    PassTimes::Known wrong = known;
    wrong.logs[2] = bad;
    EXPECT_THROW(times.recall(wrong), Error) << bad;
    wrong = known;
    wrong.deviations[3] = bad;
    EXPECT_THROW(times.recall(wrong), Error) << bad;
  }
}

}  // namespace
}  // namespace evo::decode
