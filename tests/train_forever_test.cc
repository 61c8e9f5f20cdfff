// scripts/train-forever: with a training on ranks that die, and with one that is a few lines of
// shell.
#include "ranks.h"

namespace evo::testing {
namespace {

/// A rank is killed, and in the end there is the very model of a run that nobody disturbed.
TEST_F(TrainOnRanks, ForeverGoesOnAfterADeath) {
  const std::string more = "--steps 300 --set checkpoint_every=30 --set keep_checkpoints=50";
  ASSERT_EQ(run_on(2, path("straight"), more).code, 0);
  Job job(std::string(EVO_SOURCE_DIR "/scripts/train-forever --pause 0 -- ") +
              on_ranks(2, "$EVO " + arguments(path("killed"), more)),
          path("log"));
  ASSERT_TRUE(wait_until([&] { return newest_checkpoint(path("killed")) > 0; }));
  ASSERT_TRUE(signal_rank(path("killed"), 1, SIGKILL)) << "the run ended by itself";
  EXPECT_EQ(job.wait(), 0) << job.log();
  EXPECT_EQ(count_of(job.log(), "evo: "), 1u) << job.log();
  EXPECT_EQ(count_of(job.log(), "; going on in 0 s"), 1u) << job.log();
  EXPECT_TRUE(read_bytes(path("killed/model.safetensors")) ==
              read_bytes(path("straight/model.safetensors")));
}

class TrainForever : public ::testing::Test {
 protected:
  /// Runs it on `command`, whose checkpoints are in a folder $OUT.
  [[nodiscard]] Outcome forever(const std::string& command, const std::string& options = "") const {
    fs::create_directories(folder_ / "checkpoints");
    return run_shell("export OUT=" + folder_.path().string() +
                     "; " EVO_SOURCE_DIR "/scripts/train-forever --pause 0 " + options +
                     " -- sh -c '" + command + "' train --out $OUT");
  }
  const TemporaryFolder folder_;
};

TEST_F(TrainForever, GoesOnUntilTheEnd) {
  const Outcome outcome = forever(
      "echo \"$@\"; n=$(ls $OUT/checkpoints | wc -l); mkdir $OUT/checkpoints/step-0000000$n; "
      "[ $n -ge 4 ]");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(count_of(outcome.out, "--out"), 5u) << outcome.out;
  EXPECT_EQ(count_of(outcome.out, "--resume"), 5u) << outcome.out;
}

TEST_F(TrainForever, GivesUpWhenStartsAreFruitless) {
  const Outcome outcome = forever("echo start; exit 7", "--tries 2");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(count_of(outcome.out, "start"), 2u);
  EXPECT_NE(outcome.err.find("giving up: 2 starts in a row ended (exit status 7)"),
            std::string::npos)
      << outcome.err;
}

TEST_F(TrainForever, DoesNotRepeatAWrongCommand) {
  EXPECT_EQ(forever("exit 2").code, 2);
  EXPECT_EQ(run_shell(EVO_SOURCE_DIR "/scripts/train-forever -- true").code, 2);
  EXPECT_EQ(run_shell(EVO_SOURCE_DIR "/scripts/train-forever").code, 2);
}

}  // namespace
}  // namespace evo::testing
