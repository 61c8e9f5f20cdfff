// `evo train` on several ranks: what it leaves, and how it ends when a rank dies, hangs or cannot
// write.
#include <nlohmann/json.hpp>
#include <random>

#include "ranks.h"

namespace evo::testing {
namespace {

using Json = nlohmann::json;

TEST_F(TrainOnRanks, LeavesWhatOneRankLeaves) {
  const Outcome together = run_on(2, path("two"), "--steps 6 --set log_every=2 --json");
  ASSERT_EQ(together.code, 0) << together.err;
  const Json summary = Json::parse(together.out);  // said once
  EXPECT_EQ(summary.at("ranks"), 2);
  EXPECT_EQ(summary.at("step"), 6);
  EXPECT_EQ(summary.at("tokens"), 6 * 6 * 16);
  EXPECT_TRUE(leftovers(path("two")).empty());
  const Outcome alone = run(arguments(path("one"), "--steps 6 --set log_every=2 --json"));
  ASSERT_EQ(alone.code, 0) << alone.err;
  // Six steps of f32 sums in another order: 1e-5 is far more than that changes.
  const auto loss = Json::parse(alone.out).at("loss").get<double>();
  EXPECT_NEAR(summary.at("loss").get<double>(), loss, 1e-5 * loss);
  EXPECT_EQ(run("generate " + path("two") + " --max-tokens 2 --json").code, 0);
}

TEST_F(TrainOnRanks, FaultsOfTheUserAreSaidOnce) {
  const Outcome missing = run_shell(on_ranks(
      2, "$EVO train " + std::string(kSettings) + " --data none.txt --out " + path("out")));
  EXPECT_NE(missing.code, 0);
  EXPECT_EQ(count_of(missing.err, "none.txt: No such file"), 1u) << missing.err;
  const Outcome indivisible = run_on(4, path("out"), "--steps 2");
  EXPECT_NE(indivisible.code, 0);
  EXPECT_EQ(count_of(indivisible.err, "`batch_size` 6 cannot be divided among 4 ranks"), 1u)
      << indivisible.err;
}

/// kill -9 of every rank at random moments: each time one message, an exit status that is not 0 and
/// a checkpoint that another start goes on from; in the end the very model of a straight run.
TEST_F(TrainOnRanks, ADeadRankEndsTheJobAndTheRunGoesOn) {
  const std::string more =
      "--resume --steps 400 --set checkpoint_every=40 --set keep_checkpoints=50";
  ASSERT_EQ(run_on(2, path("straight"), more).code, 0);
  std::minstd_rand random(1);
  for (const int victim : {1, 0}) {
    const int64_t before = newest_checkpoint(path("killed"));
    Job job(on_ranks(2, "$EVO " + arguments(path("killed"), more)), path("log"));
    ASSERT_TRUE(wait_until([&] { return newest_checkpoint(path("killed")) > before; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 100));
    ASSERT_TRUE(signal_rank(path("killed"), victim, SIGKILL)) << "the run ended by itself";
    const std::optional<int> code = job.wait();
    ASSERT_TRUE(code.has_value()) << "the job goes on without rank " << victim;
    EXPECT_NE(*code, 0);
    const std::string log = job.log();
    EXPECT_EQ(count_of(log, "evo: "), 1u) << log;
    EXPECT_NE(log.find("rank " + std::to_string(victim) + " died at step "), std::string::npos)
        << log;
    const weights::CheckpointFolder folder = checkpoints(path("killed"));
    EXPECT_NO_THROW((void)folder.load(folder.latest().value()));
  }
  ASSERT_EQ(run_on(2, path("killed"), more).code, 0);
  EXPECT_TRUE(read_bytes(path("killed/model.safetensors")) ==
              read_bytes(path("straight/model.safetensors")));
}

/// Of three ranks the one that is stopped is named, and not the ones that wait for it.
TEST_F(TrainOnRanks, AHangingRankEndsTheJob) {
  Job job(on_ranks(3, "$EVO " + arguments(path("out"),
                                          "--steps 1000000 --rank-timeout 2 --set "
                                          "checkpoint_every=5")),
          path("log"));
  ASSERT_TRUE(wait_until([&] { return newest_checkpoint(path("out")) > 0; }));
  ASSERT_TRUE(signal_rank(path("out"), 1, SIGSTOP));
  const std::optional<int> code = job.wait();
  ASSERT_TRUE(code.has_value());
  EXPECT_NE(*code, 0);
  const std::string log = job.log();
  EXPECT_EQ(count_of(log, "evo: "), 1u) << log;
  EXPECT_NE(log.find("evo: rank 1 did not arrive at step "), std::string::npos) << log;
  EXPECT_NE(log.find("for 2 s"), std::string::npos) << log;
  EXPECT_EQ(run(arguments(path("out"), "--steps 2 --resume --set checkpoint_every=5")).code, 0);
}

/// A disk that is full for one rank only: its files may not grow.
TEST_F(TrainOnRanks, AFullDiskOnOneRankLosesNothing) {
  const std::string more = "--resume --set checkpoint_every=2 --steps ";
  ASSERT_EQ(run_on(2, path("out"), more + "4").code, 0);
  const std::string limited = on_ranks(2,
                                       "sh -c 'if [ $OMPI_COMM_WORLD_RANK = 1 ]; then trap \"\" "
                                       "XFSZ; ulimit -f 100; fi; exec $EVO " +
                                           arguments(path("out"), more + "8") + "'");
  const Outcome full = run_shell(limited);
  EXPECT_NE(full.code, 0);
  EXPECT_EQ(count_of(full.err, "evo: "), 1u) << full.err;
  EXPECT_NE(full.err.find("rank 1 at step 6: cannot write "), std::string::npos) << full.err;
  EXPECT_NE(full.err.find("state.safetensors"), std::string::npos) << full.err;
  EXPECT_EQ(checkpoints(path("out")).latest(), 4);
  EXPECT_NO_THROW((void)checkpoints(path("out")).load(4));
  ASSERT_EQ(run_on(2, path("out"), more + "8").code, 0);
  EXPECT_TRUE(leftovers(path("out")).empty());
}

/// mpirun passes the signal on; all ranks stop at the same step and leave a checkpoint.
TEST_F(TrainOnRanks, AnInterruptSavesAndAnotherNumberOfRanksGoesOn) {
  Job job(on_ranks(2, "$EVO " + arguments(path("out"), "--steps 1000000 --set log_every=1")),
          path("log"));
  ASSERT_TRUE(wait_until([&] { return !is_empty_or_absent(path("out/metrics.jsonl")); }));
  kill(job.id(), SIGUSR1);
  EXPECT_EQ(job.wait(), 0);
  const std::optional<int64_t> step = checkpoints(path("out")).latest();
  ASSERT_TRUE(step.has_value()) << job.log();
  EXPECT_EQ(job.log().find("evo: "), std::string::npos) << job.log();
  const Outcome resumed = run(arguments(
      path("out"), "--resume --json --set log_every=1 --steps " + std::to_string(*step + 2)));
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(Json::parse(resumed.out).at("step"), *step + 2);
}

std::vector<double> losses_of(const std::string& out) {
  std::vector<double> losses;
  std::ifstream metrics(out + "/metrics.jsonl");
  for (std::string text; std::getline(metrics, text);) {
    losses.push_back(Json::parse(text).at("loss").get<double>());
  }
  return losses;
}

/// From four ranks to two, to one and back: as if there had been one all the time. A constant
/// learning rate, so that a leg may end where it likes; 1e-4 is far more than f32 sums in another
/// order change in 24 steps, and far less than another sequence would.
TEST_F(TrainOnRanks, AnyNumberOfRanksGoesOn) {
  const std::string more =
      "--resume --set batch_size=4 --set log_every=1 --set warmup=0 --set final_learning_rate=1 "
      "--precision f32 --steps ";
  ASSERT_EQ(run(arguments(path("one"), more + "24")).code, 0);
  int64_t step = 0;
  for (const int ranks : {4, 2, 1, 4}) {
    step += 6;
    ASSERT_EQ(run_on(ranks, path("many"), more + std::to_string(step)).code, 0) << ranks;
    EXPECT_EQ(checkpoints(path("many")).load(step).state.get_int("next_sequence"), 4 * step);
  }
  const std::vector<double> one = losses_of(path("one")), many = losses_of(path("many"));
  ASSERT_EQ(many.size(), 24u);
  ASSERT_EQ(one.size(), 24u);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(many[i] / one[i], 1, 1e-4) << i;
}

/// Training that diverges on all ranks ends the job with one message, which names rank and step.
TEST_F(TrainOnRanks, DivergenceIsSaidOnce) {
  const Outcome outcome = run_on(2, path("out"),
                                 "--steps 50 --set learning_rate=0.99 --set clip=0 --set warmup=0 "
                                 "--set flow=false --set weight_decay=9.9");
  EXPECT_NE(outcome.code, 0);
  EXPECT_EQ(count_of(outcome.err, "evo: "), 1u) << outcome.err;
  EXPECT_NE(outcome.err.find("training diverged before the first checkpoint: step "),
            std::string::npos)
      << outcome.err;
}

/// A rank that is stopped four fifths of the time.
TEST_F(TrainOnRanks, ASlowRankIsNamed) {
  Job job(on_ranks(2, "$EVO " + arguments(path("out"), "--steps 1000000 --set log_every=20")),
          path("log"));
  ASSERT_TRUE(wait_until([&] { return !is_empty_or_absent(path("out/metrics.jsonl")); }));
  const pid_t slow = process_of(path("out"), 1);
  ASSERT_GT(slow, 0);
  for (int i = 0; i < 60; ++i) {
    kill(slow, SIGSTOP);
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
    kill(slow, SIGCONT);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(job.id(), SIGUSR1);
  EXPECT_EQ(job.wait(), 0) << job.log();
  double worst = 0;
  std::ifstream metrics(path("out/metrics.jsonl"));
  for (std::string text; std::getline(metrics, text);) {
    const Json line = Json::parse(text);
    if (line.at("slowest_rank") == 1)
      worst = std::max(worst, line.at("slowest_to_median").get<double>());
  }
  EXPECT_GT(worst, 2);
}

}  // namespace
}  // namespace evo::testing
