// `evo train` on several ranks, from tests that end or stop some of them.
#pragma once

#include <optional>

#include "program.h"
#include "weights/checkpoint.h"

namespace evo::testing {

inline constexpr const char* kMpiRun = EVO_MPIRUN;  ///< "" in a build without MPI

/// In seconds: within which a job must have ended. Generous, as the machine may be busy; a rank's
/// death is noticed within a tenth of a second, and a job that is not ended by us never ends.
inline constexpr int kEndOfJob = 40;

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
  }

  [[nodiscard]] static std::string on_ranks(int ranks, const std::string& command) {
    return fmt::format("{} -n {} --oversubscribe {}", kMpiRun, ranks, command);
  }
  [[nodiscard]] static std::string arguments(const std::string& out, const std::string& more) {
    return train(out, "--threads 1 --set batch_size=6 " + more);
  }
  [[nodiscard]] static Outcome run_on(int ranks, const std::string& out, const std::string& more) {
    return run_shell(on_ranks(ranks, "$EVO " + arguments(out, more)));
  }
  /// Opened when nobody writes there: it clears away what is unfinished.
  static weights::CheckpointFolder checkpoints(const std::string& out) {
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
    prepare_environment();
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
inline pid_t process_of(const std::string& out, int rank) {
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
inline bool signal_rank(const std::string& out, int rank, int signal) {
  const pid_t process = process_of(out, rank);
  return process > 0 && kill(process, signal) == 0;
}

inline size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace evo::testing
