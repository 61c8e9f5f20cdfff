#include "plan/plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "train/testing.h"

namespace evo::plan {
namespace {

constexpr double kTera = 1e12, kGiga = 1e9;

Machine accelerators(int64_t ranks) {
  Machine machine;
  machine.ranks = ranks;
  machine.memory = 80 * kGiga;
  machine.flops = 400 * kTera;
  machine.efficiency = 0.4;
  machine.bandwidth = 50 * kGiga;
  return machine;
}

PlannedRun eight_billion(int64_t batch, int64_t passes) {
  PlannedRun run;
  run.config = train::RunConfig::preset("8b");
  run.config.batch_size = batch;
  run.config.gradient_accumulation = passes;
  run.tokens = kTera;
  run.config.recompute = true;
  return run;
}

template <class Run>
std::string error_of(const Run& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string all_of(const Advice& advice) {
  std::string text = advice.finding;
  for (const std::string& change : advice.changes) text += "\n" + change;
  return text;
}

TEST(Plan, TimeOfAWorkedExample) {
  Machine machine = accelerators(16);
  machine.bandwidth = 400 * kGiga;
  const Plan plan = make_plan(eight_billion(16, 32), machine);
  // 32 passes of one sequence of 2048 per rank, on 160 TFLOP/s.
  const double tokens = 32 * 2048;
  EXPECT_NEAR(plan.time.compute, tokens * plan.flops.total() / 160e12, 1e-9 * plan.time.compute);
  // 8.1e9 numbers: 15/16 of them in f32 at 400 GB/s; each bucket costs a latency of 10 us and 30
  // messages of 1 us.
  const double parameters = sum_of(plan.parameters);
  const double buckets = std::ceil(parameters / (1 << 20));
  const double expected = parameters * 4 * 15 / 16 / 400e9 + buckets * 40e-6;
  EXPECT_NEAR(plan.time.all_gather, expected, 1e-9 * expected);
  EXPECT_NEAR(plan.time.reduce_scatter, expected, 1e-9 * expected);
  // The passes are longer than that: all is hidden but gradients and weights of what a pass begins
  // with.
  const double late = 128256.0 * 4096 + 128256 * 16 + 4096 * 48;
  const double exposed = late * 4 * 15 / 16 / 400e9 + std::ceil(late / (1 << 20)) * 40e-6;
  EXPECT_NEAR(plan.time.exposed(), 2 * exposed, 1e-9 * expected);
  EXPECT_NEAR(plan.days(), kTera / (16 * tokens) * plan.time.total() / 86400, 1e-9 * plan.days());
}

TEST(Plan, PassesHideNoMoreThanTheyLast) {
  Machine slow = accelerators(64);
  slow.bandwidth = kGiga;
  const Plan plan = make_plan(eight_billion(64, 1), slow);
  const double forward = plan.flops.mature + plan.flops.evolving + plan.flops.attention;
  const double passes = 2048 * (plan.flops.backward + plan.flops.recomputation + forward) / 160e12;
  EXPECT_NEAR(plan.time.hidden, passes, 1e-9 * passes);
  // More passes hide no more: gradients are complete in the last one only, weights come in the
  // first.
  EXPECT_NEAR(make_plan(eight_billion(64, 8), slow).time.hidden, passes, 1e-9 * passes);
}

TEST(Plan, NarrowWireHalvesTheGradientsAlone) {
  PlannedRun run = eight_billion(64, 1);
  Machine machine = accelerators(64);
  const Plan wide = make_plan(run, machine);
  run.config.wire = "bf16";
  const Plan narrow = make_plan(run, machine);
  EXPECT_EQ(narrow.time.all_gather, wide.time.all_gather);
  const double saved = sum_of(wide.parameters) * 2 * 63 / 64 / 50e9;
  EXPECT_NEAR(wide.time.reduce_scatter - narrow.time.reduce_scatter, saved, 1e-9 * saved);
}

TEST(Plan, OneRankDoesNotCommunicate) {
  const Plan plan = make_plan(eight_billion(1, 4), accelerators(1));
  EXPECT_EQ(plan.time.total(), plan.time.compute);
  EXPECT_EQ(plan.memory.buckets, 0);
  // Without recomputation, arithmetic is all there is: the share of the peak is the efficiency.
  PlannedRun run = plan.run;
  run.config.recompute = false;
  EXPECT_NEAR(make_plan(run, plan.machine).utilisation(), 0.4, 1e-12);
}

TEST(Plan, CriticalBatchIsWhatThePapersSay) {
  // Chinchilla itself: 70e9 parameters, 1.4e12 tokens: 1.69 + 0.0836 + 0.1628 (Hoffmann et al.,
  // equation 10); 2e8 / 1.9364^4.762 = 8.6e6.
  EXPECT_NEAR(critical_batch(70e9, 1.4e12), 8.6e6, 0.1e6);
  EXPECT_LT(critical_batch(1e7, 2e8), critical_batch(1e9, 2e10));
}

TEST(Plan, ChosenBatchIsDivisibleFitsAndHasTheSize) {
  for (const int64_t ranks : {1, 8, 48, 64, 1024}) {
    PlannedRun run = eight_billion(16, 1);
    choose_batch(run, accelerators(ranks), 4e6);
    EXPECT_EQ(run.config.batch_size % ranks, 0) << ranks;
    EXPECT_NEAR(run.tokens_per_step() / 4e6, 1, 0.15) << ranks;  // 1953 sequences over the ranks
  }
  PlannedRun run = eight_billion(16, 1);
  const Machine machine = accelerators(64);
  choose_batch(run, machine, 0);
  const Plan plan = make_plan(run, machine);
  EXPECT_TRUE(plan.fits());
  EXPECT_LE(plan.run.tokens_per_step(), plan.critical_tokens);
  EXPECT_GT(plan.run.tokens_per_step(), plan.critical_tokens / 2.1);
}

// ---- advice ----

TEST(PlanAdvice, MemoryComesFirstAndRecomputationHelps) {
  PlannedRun run = eight_billion(64, 32);
  run.config.recompute = false;
  const Plan plan = make_plan(run, accelerators(64));
  EXPECT_FALSE(plan.fits());
  const Advice advice = advise(plan);
  EXPECT_EQ(advice.limit, Advice::Limit::kMemory);
  EXPECT_NE(all_of(advice).find("does not fit"), std::string::npos);
  Machine larger = accelerators(64);
  larger.memory = 96 * kGiga;
  const Advice other = advise(make_plan(run, larger));
  EXPECT_NE(all_of(other).find("recompute activations: "), std::string::npos) << all_of(other);
}

TEST(PlanAdvice, RanksThatAreTooSmallAreToldHowLargeTheyMustBe) {
  Machine small = accelerators(64);
  small.memory = 24 * kGiga;
  const Plan plan = make_plan(eight_billion(64, 32), small);
  const std::string advice = all_of(advise(plan));
  EXPECT_NE(advice.find("ranks of at least"), std::string::npos) << advice;
  EXPECT_NE(advice.find("weights and gradients, which every rank holds whole, take 65.0 GB"),
            std::string::npos)
      << advice;
}

/// What is offered as fitting does fit, and one rank less does not.
TEST(PlanAdvice, LeastNumberOfRanksIsTheLeast) {
  const auto plan_on = [](int64_t ranks) {
    Machine machine = accelerators(ranks);
    machine.memory = 100 * kGiga;
    return make_plan(eight_billion(ranks, 1), machine);
  };
  const std::string advice = all_of(advise(plan_on(1)));
  const size_t at = advice.find("at least ");
  ASSERT_NE(at, std::string::npos) << advice;
  const int64_t least = std::stoll(advice.substr(at + 9));
  EXPECT_TRUE(plan_on(least).fits()) << advice;
  EXPECT_FALSE(plan_on(least - 1).fits()) << advice;
}

TEST(PlanAdvice, FewerSequencesPerPassIsOffered) {
  Machine machine = accelerators(64);
  machine.memory = 100 * kGiga;
  const Plan plan = make_plan(eight_billion(64 * 16, 2), machine);
  ASSERT_FALSE(plan.fits());
  const std::string advice = all_of(advise(plan));
  EXPECT_NE(advice.find("batch_size=64 gradient_accumulation=32"), std::string::npos) << advice;
}

TEST(PlanAdvice, SlowNetworkIsNamedWithWhatItTakes) {
  Machine machine = accelerators(64);
  machine.memory = 100 * kGiga;
  machine.bandwidth = kGiga;
  const Plan plan = make_plan(eight_billion(64, 8), machine);
  const Advice advice = advise(plan);
  EXPECT_EQ(advice.limit, Advice::Limit::kCommunication);
  const std::string text = all_of(advice);
  for (const char* part : {"wire=bf16: +", "gradient_accumulation=16: +", "GB/s per rank"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  }
}

TEST(PlanAdvice, LargeBatchIsCalledSo) {
  Machine machine = accelerators(4096);
  machine.memory = 100 * kGiga;
  const Plan plan = make_plan(eight_billion(4096, 2), machine);
  const Advice advice = advise(plan);
  EXPECT_EQ(advice.limit, Advice::Limit::kBatch);
  EXPECT_NE(all_of(advice).find("critical batch"), std::string::npos);
}

TEST(PlanAdvice, OtherwiseItIsArithmetic) {
  Machine machine = accelerators(64);
  machine.memory = 100 * kGiga;
  const Advice advice = advise(make_plan(eight_billion(64, 32), machine));
  EXPECT_EQ(advice.limit, Advice::Limit::kCompute);
  EXPECT_NE(all_of(advice).find("128 ranks, the same step: +"), std::string::npos)
      << all_of(advice);
}

/// Advice beyond the largest settings would be an error.
TEST(PlanAdvice, StaysWithinTheSettings) {
  for (const int64_t ranks : {1, 64, 65536}) {
    for (const int64_t passes : {1, 65536}) {
      Machine machine = accelerators(ranks);
      for (const double memory : {10 * kGiga, 100 * kGiga, 10 * kTera}) {
        machine.memory = memory;
        machine.bandwidth = memory;  // the slow, the middling and the fast
        PlannedRun run = eight_billion(65536, passes);
        run.tokens = 1e16;
        EXPECT_FALSE(advise(make_plan(run, machine)).finding.empty());
      }
    }
  }
}

// ---- errors ----

TEST(Plan, ImpossibleThingsAreErrors) {
  const auto with = [](const auto& change) {
    return error_of([&] {
      PlannedRun run = eight_billion(64, 1);
      Machine machine = accelerators(64);
      change(run, machine);
      (void)make_plan(run, machine);
    });
  };
  using R = PlannedRun;
  using M = Machine;
  EXPECT_EQ(with([](R&, M&) {}), "");
  const auto says = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << "\"" << text << "\" without " << part;
  };
  says(with([](R&, M& m) { m.ranks = 0; }), "ranks must be 1 to 65536, not 0");
  says(with([](R&, M& m) { m.memory = -1; }), "memory must be above 0");
  says(with([](R&, M& m) { m.flops = NAN; }), "flops must be above 0");
  says(with([](R&, M& m) { m.bandwidth = INFINITY; }), "bandwidth must be above 0");
  says(with([](R&, M& m) { m.latency = 2; }), "latency must be 0 to 1");
  says(with([](R&, M& m) { m.efficiency = 1.5; }), "efficiency must be above 0, at most 1");
  says(with([](R&, M& m) { m.efficiency = NAN; }), "efficiency must be above 0, at most 1");
  says(with([](R& r, M&) { r.tokens = NAN; }), "tokens must be above 0");
  says(with([](R& r, M&) { r.config.freeze_backbone = true; }), "freeze_backbone");
  says(with([](R& r, M&) { r.config.batch_size = 16; }), "`batch_size` 16 cannot be divided");
  says(with([](R& r, M&) { r.config.head_dim = 3; }), "head_dim must be even");
}

TEST(Plan, SizesAreDecimal) {
  EXPECT_EQ(decimal_bytes(80e9), "80.0 GB");
  EXPECT_EQ(decimal_bytes(999.6e6), "1.00 GB");
  EXPECT_EQ(decimal_bytes(512), "512 B");
  EXPECT_EQ(decimal_bytes(123.4e12), "123 TB");
}

}  // namespace
}  // namespace evo::plan
