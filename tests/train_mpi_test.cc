// `evo train` on several ranks: what it leaves, and how it ends when a rank dies, hangs or cannot
// write.
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <sstream>

#include "io/checkpoint.h"
#include "program.h"

namespace evo::testing {
namespace {

using Json = nlohmann::json;

constexpr const char* kMpiRun = EVO_MPIRUN;  // "" in a build without MPI

/// In seconds: within which a job must have ended. Generous, as the machine may be busy; a rank's
/// death is noticed within a tenth of a second, and a job that is not ended by us never ends.
constexpr int kEndOfJob = 40;

class TrainOnRanks : public ProgramTest {
 protected:
  void SetUp() override {
    if (*kMpiRun == '\0') GTEST_SKIP() << "training on several ranks: built without MPI";
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    // One process may not read another's memory in every container.
    setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 1);
    // For what dying ranks say, on a busy machine; a second is the default.
    setenv("OMPI_MCA_odls_base_sigkill_timeout", "4", 1);
    setenv("OMP_WAIT_POLICY", "passive", 1);
  }

  [[nodiscard]] static std::string on_ranks(int ranks, const std::string& command) {
    return std::string(kMpiRun) + " -n " + std::to_string(ranks) + " --oversubscribe " + command;
  }
  [[nodiscard]] static std::string arguments(const std::string& out, const std::string& more) {
    return train(out, "--threads 1 --set batch_size=6 " + more);
  }
  [[nodiscard]] static Outcome run_on(int ranks, const std::string& out, const std::string& more) {
    return run_shell(on_ranks(ranks, "$EVO " + arguments(out, more)));
  }
  /// Opened when nobody writes there: it clears away what is unfinished.
  static CheckpointFolder checkpoints(const std::string& out) {
    return {out + "/checkpoints", 100};
  }
  /// While a job writes: 0 if there is none.
  static int64_t newest_checkpoint(const std::string& out) {
    int64_t newest = 0;
    std::error_code error;
    for (fs::directory_iterator entry(out + "/checkpoints", error), end; !error && entry != end;
         entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      if (name.starts_with("step-")) newest = std::max<int64_t>(newest, std::stoll(name.substr(5)));
    }
    return newest;
  }
};

/// A job that runs beside the test.
class Job {
 public:
  Job(const std::string& line, std::string log) : log_(std::move(log)) {
    setenv("EVO", EVO_BINARY, 1);
    const std::string redirected = "exec " + line + " >/dev/null 2>" + log_;
    pid_ = fork();
    EVO_CHECK(pid_ >= 0);
    if (pid_ > 0) return;
    execl("/bin/sh", "sh", "-c", redirected.c_str(), nullptr);
    _exit(127);
  }
  ~Job() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  [[nodiscard]] pid_t id() const { return pid_; }
  /// Its exit status, -1 if a signal ended it; nothing if it has not ended in time.
  std::optional<int> wait() {
    for (int i = 0; i < 100 * kEndOfJob; ++i) {
      int status = 0;
      if (waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        return exit_code(status);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return std::nullopt;
  }
  [[nodiscard]] std::string log() const { return read_bytes(log_); }

 private:
  std::string log_;
  pid_t pid_ = -1;
};

/// The process that is rank `rank` of the job that trains in `out`.
pid_t process_of(const std::string& out, int rank) {
  const std::string mark = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank);
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream command(entry.path() / "cmdline"), environment(entry.path() / "environ");
    const std::string words{std::istreambuf_iterator<char>(command), {}};
    const std::string variables{std::istreambuf_iterator<char>(environment), {}};
    if (words.starts_with(EVO_BINARY) && words.find(out) != std::string::npos &&
        (std::string(1, '\0') + variables).find(std::string(1, '\0') + mark + '\0') !=
            std::string::npos) {
      return std::stoi(name);
    }
  }
  return -1;
}

/// Sends `signal` to one rank; false if it is not there (and process -1 would be all there are).
bool signal_rank(const std::string& out, int rank, int signal) {
  const pid_t process = process_of(out, rank);
  return process > 0 && kill(process, signal) == 0;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

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
    const CheckpointFolder folder = checkpoints(path("killed"));
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

// --- scripts/train-forever, with a training that is a few lines of shell

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
