// Running the built program from a test, and the small model that these tests share.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>

#include "base/testing.h"

namespace evo::testing {

namespace fs = std::filesystem;

struct Outcome {
  int code = -1;  ///< -1: ended by a signal
  std::string out, err;
};

inline int exit_code(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// The environment that the program gets.
inline void prepare_environment() {
  static const TemporaryFolder cache;
  setenv("EVO", EVO_BINARY, 1);
  setenv("XDG_CACHE_HOME", cache.path().c_str(), 1);  // the user's is none of a test's business
}

/// Runs a line of shell in which $EVO is the program.
inline Outcome run_shell(const std::string& line) {
  static const TemporaryFolder folder;
  prepare_environment();
  const std::string redirected =
      "{ " + line + "\n} >" + (folder / "out").string() + " 2>" + (folder / "err").string();
  const int code = exit_code(std::system(redirected.c_str()));
  return {code, read_bytes(folder / "out"), read_bytes(folder / "err")};
}

inline Outcome run(const std::string& arguments) {
  return run_shell("$EVO " + arguments);
}

/// What the program prints with --json; it must succeed.
inline nlohmann::json result(const std::string& arguments) {
  const Outcome outcome = run(arguments + " --json");
  EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.err;
  return nlohmann::json::parse(outcome.out);
}

/// The program must end with `code`, print no result, and say all of `parts`.
inline void expect_refusal(const std::string& arguments, int code,
                           std::initializer_list<std::string_view> parts) {
  const Outcome outcome = run(arguments);
  EXPECT_EQ(outcome.code, code) << arguments << "\n" << outcome.err;
  EXPECT_EQ(outcome.out, "") << arguments;
  EXPECT_NE(("\n" + outcome.err).find("\nevo"), std::string::npos) << arguments << outcome.err;
  for (const std::string_view part : parts) {
    EXPECT_NE(outcome.err.find(part), std::string::npos)
        << arguments << "\nno \"" << part << "\" in: " << outcome.err;
  }
}

/// The program beside the test; it does not outlive the object.
class Background {
 public:
  /// `output`: where standard output goes; -1: nowhere.
  explicit Background(const std::string& arguments, int output = -1) {
    const std::string line = "exec " EVO_BINARY " " + arguments;
    prepare_environment();
    pid_ = fork();
    EVO_CHECK(pid_ >= 0);
    if (pid_ > 0) return;
    dup2(output >= 0 ? output : open("/dev/null", O_WRONLY), STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    _exit(127);
  }
  ~Background() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  [[nodiscard]] pid_t id() const { return pid_; }
  void interrupt() const { kill(pid_, SIGINT); }
  void end_at_once() const { kill(pid_, SIGKILL); }
  int wait() {
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return exit_code(status);
  }

 private:
  pid_t pid_ = -1;
};

/// Waits until `holds`; false if it does not within a minute.
inline bool wait_until(const std::function<bool()>& holds) {
  for (int i = 0; i < 60'000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

inline bool is_empty_or_absent(const fs::path& path) {
  return !fs::exists(path) || fs::is_empty(path);
}

/// Names in a folder and below that a writer which was cut short would leave.
inline std::vector<std::string> leftovers(const fs::path& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.find("tmp") != std::string::npos) found.push_back(name);
  }
  return found;
}

/// text.txt in a folder, and one model trained on it, for all tests of a suite.
class ProgramTest : public ::testing::Test {
 protected:
  static constexpr const char* kSettings =
      "--preset demo --set vocab_size=280 --set hidden_size=32 --set intermediate_size=64 --set "
      "num_hidden_layers=1 --set head_dim=8 --set inner_size=16 --set max_position_embeddings=64 "
      "--set batch_size=2 --set sequence_length=16";

  static void SetUpTestSuite() {
    shared_ = new TemporaryFolder;
    std::string text;
    for (int i = 0; i < 400; ++i) text += "The cat sat on the mat and the dog ran to the door.\n";
    write_bytes(*shared_ / "text.txt", text);
  }
  static void TearDownTestSuite() {
    delete shared_;
    shared_ = nullptr;
  }

  [[nodiscard]] static std::string shared(std::string_view name) {
    return (*shared_ / name).string();
  }
  /// In this test's own folder.
  [[nodiscard]] std::string path(std::string_view name) const { return (own_ / name).string(); }

  /// Arguments of a training run on text.txt.
  [[nodiscard]] static std::string train(const std::string& out, const std::string& more) {
    return fmt::format("train {} --data {} --out {} --quiet {}", kSettings, shared("text.txt"), out,
                       more);
  }

  /// A trained model, made when first asked for. Not to be changed.
  [[nodiscard]] static std::string model(const std::string& name = "model",
                                         const std::string& more = "") {
    if (!fs::exists(shared(name))) {
      const Outcome outcome = run(train(shared(name), "--steps 4 " + more));
      EXPECT_EQ(outcome.code, 0) << outcome.err;
    }
    return shared(name);
  }

 private:
  static inline TemporaryFolder* shared_ = nullptr;
  TemporaryFolder own_;
};

}  // namespace evo::testing
