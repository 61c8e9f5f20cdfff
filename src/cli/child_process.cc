#include "cli/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "base/error.h"
#include "base/interrupt.h"

namespace evo {
namespace {

// Of each stream this much is kept: a result and an error message stand at the end.
constexpr size_t kKeptBytes = 64 * 1024;

class Descriptor {
 public:
  explicit Descriptor(int value = -1) : value_(value) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  [[nodiscard]] int get() const { return value_; }
  void reset(int value) {
    close();
    value_ = value;
  }
  void close() {
    if (value_ >= 0) ::close(value_);
    value_ = -1;
  }

 private:
  int value_;
};

/// A pipe from the child; its reading end does not block.
struct Stream {
  Descriptor reader, writer;
  std::string text;

  Stream() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) fail("cannot make a pipe: {}", errno_message(errno));
    reader.reset(ends[0]);
    writer.reset(ends[1]);
    fcntl(reader.get(), F_SETFL, O_NONBLOCK);
  }

  void read_available() {
    std::array<char, 4096> buffer{};
    while (reader.get() >= 0) {
      const ssize_t count = ::read(reader.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return;
      if (count == 0) reader.close();
      text.append(buffer.data(), static_cast<size_t>(count));
      if (text.size() > kKeptBytes) text.erase(0, text.size() - kKeptBytes);
    }
  }
};

/// A process in a group of its own, so that whatever it starts can be ended with it.
class Child {
 public:
  explicit Child(const std::vector<std::string>& arguments) {
    std::vector<char*> words;
    for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ < 0) fail("cannot start {}: {}", arguments[0], errno_message(errno));
    if (pid_ == 0) become(words, parent);
    setpgid(pid_, pid_);  // here too: either process may come first
    out_.writer.close();
    err_.writer.close();
  }
  ~Child() {
    if (pid_ > 0) end();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] bool ended() const {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid_;
  }

  /// Waits for output, at most a tenth of a second, and takes it.
  void read() {
    std::array<pollfd, 2> sources = {pollfd{out_.reader.get(), POLLIN, 0},
                                     pollfd{err_.reader.get(), POLLIN, 0}};
    poll(sources.data(), sources.size(), 100);
    out_.read_available();
    err_.read_available();
  }

  /// Kills what is left of the group. The status is waitpid's.
  int end() {
    kill(-pid_, SIGKILL);  // before the leader is reaped, which frees the group's number
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
    pid_ = 0;
    return status;
  }

  [[nodiscard]] std::string& output() { return out_.text; }
  [[nodiscard]] std::string& messages() { return err_.text; }

 private:
  /// In the child: only what may be called between fork and exec.
  [[noreturn]] void become(const std::vector<char*>& words, pid_t parent) const {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // not to outlive a parent that was killed
    signal(SIGPIPE, SIG_DFL);          // what is ignored here would be ignored there
    const int null = open("/dev/null", O_RDONLY);
    const bool connected = null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
                           dup2(out_.writer.get(), STDOUT_FILENO) >= 0 &&
                           dup2(err_.writer.get(), STDERR_FILENO) >= 0;
    if (connected && getppid() == parent) execvp(words[0], words.data());
    const char* reason = strerror(errno);
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, reason, strlen(reason));
    _exit(127);
  }

  Stream out_, err_;
  pid_t pid_ = 0;
};

/// Hands whole lines on and takes them out of `text`; the last error message stays in `message`.
void take_lines(std::string& text, const ChildOptions& options, std::string& message) {
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text.substr(begin, end - begin);
    const bool expected = options.on_line && options.on_line(line);
    if (!expected && line.find_first_not_of(" \t\r") != std::string::npos) message = line;
  }
  text.erase(0, begin);
}

std::string failure_of(int status, const std::string& message) {
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    return fmt::format("killed by signal {} ({}{})", number, strsignal(number),
                       number == SIGKILL ? "; out of memory?" : "");
  }
  if (WEXITSTATUS(status) == 0) return {};
  return message.empty() ? fmt::format("exit status {}", WEXITSTATUS(status)) : message;
}

}  // namespace

ChildResult run_child(const std::vector<std::string>& arguments, const ChildOptions& options) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  Child child(arguments);
  std::string message;
  while (!child.ended()) {
    if (interrupted()) fail("interrupted");
    const std::chrono::duration<double> elapsed = Clock::now() - start;
    if (options.time_limit > 0 && elapsed.count() > options.time_limit) {
      return {{}, fmt::format("took more than {} s", options.time_limit)};
    }
    child.read();
    take_lines(child.messages(), options, message);
  }
  child.read();
  child.messages() += '\n';
  take_lines(child.messages(), options, message);
  return {child.output(), failure_of(child.end(), message)};
}

std::string last_line(const std::string& text) {
  const size_t end = text.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return {};
  const size_t before = text.find_last_of('\n', end);
  const size_t begin = before == std::string::npos ? 0 : before + 1;
  return text.substr(begin, end - begin + 1);
}

}  // namespace evo
