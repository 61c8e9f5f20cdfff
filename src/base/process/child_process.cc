#include "base/process/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/process/descriptor.h"
#include "base/process/watcher.h"

namespace evo {
namespace {

// Of each stream this much is kept: a result and an error message stand at the end.
constexpr size_t kKeptBytes = 64 * 1024;
// Taken from a stream at a time, so that one that never ends leaves room for looking at the clock.
constexpr size_t kReadBytes = 1 << 20;
constexpr unsigned kNobody = 65534;
constexpr double kSetUpSeconds = 60;

/// What the child reads: a file in memory, since writing to a pipe could block, or end us.
int open_input(const std::string& text) {
  if (text.empty()) return open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int file = memfd_create("input", MFD_CLOEXEC);
  for (size_t done = 0; file >= 0 && done < text.size();) {
    const ssize_t count = write(file, text.data() + done, text.size() - done);
    if (count < 0) fail("cannot keep the input of a program: {}", errno_message(errno));
    done += static_cast<size_t>(count);
  }
  if (file >= 0) lseek(file, 0, SEEK_SET);
  return file;
}

/// A pipe from the child; its reading end does not block.
struct Stream {
  Descriptor reader, writer;
  std::string text;
  size_t kept;

  explicit Stream(size_t kept_bytes) : kept(kept_bytes) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) fail("cannot make a pipe: {}", errno_message(errno));
    reader.reset(ends[0]);
    writer.reset(ends[1]);
    fcntl(reader.get(), F_SETFL, O_NONBLOCK);
  }

  void read_available() {
    std::array<char, 4096> buffer{};
    for (size_t done = 0; reader.get() >= 0 && done < kReadBytes;) {
      const ssize_t count = ::read(reader.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return;
      if (count == 0) reader.close();
      done += static_cast<size_t>(count);
      text.append(buffer.data(), static_cast<size_t>(count));
      if (text.size() > kept) text.erase(0, text.size() - kept);
    }
  }
};

/// Gives up root, for good. System calls, since the library's functions would wait for threads that
/// are not in this copy of the process.
bool become_nobody() {
  return geteuid() != 0 || (syscall(SYS_setgroups, 0, nullptr) == 0 &&
                            syscall(SYS_setresgid, kNobody, kNobody, kNobody) == 0 &&
                            syscall(SYS_setresuid, kNobody, kNobody, kNobody) == 0);
}

void volunteer_to_end() {
  const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  [[maybe_unused]] const ssize_t written = write(file, "1000", 4);
  close(file);
}

/// A process in a group of its own, so that whatever it starts can be ended with it.
class Child {
 public:
  Child(const std::vector<std::string>& arguments, const ChildOptions& options)
      : options_(options),
        in_(open_input(options.input)),
        out_(options.output_limit > 0 ? std::numeric_limits<size_t>::max() : kKeptBytes),
        err_(kKeptBytes) {
    if (in_.get() < 0) fail("cannot make the input of {}: {}", arguments[0], errno_message(errno));
    std::vector<char*> words;
    for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ < 0) fail("cannot start {}: {}", arguments[0], errno_message(errno));
    if (pid_ == 0) become(words, parent);
    setpgid(pid_, pid_);  // here too: either process may come first
    end_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
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

  /// Waits for output or the end, at most a tenth of a second, and takes the output.
  void read() {
    std::array<pollfd, 3> sources = {pollfd{out_.reader.get(), POLLIN, 0},
                                     pollfd{err_.reader.get(), POLLIN, 0},
                                     pollfd{end_.get(), POLLIN, 0}};
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
    const bool ready = connect()&& restrict();
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // not to outlive a killed parent; undone by a change of user
    if (ready && getppid() == parent) execvp(words[0], words.data());
    const char* reason = strerror(errno);
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, reason, strlen(reason));
    _exit(127);
  }

  [[nodiscard]] bool connect() const {
    signal(SIGPIPE, SIG_DFL);  // what is ignored here would be ignored there
    const int errors = options_.join_streams ? out_.writer.get() : err_.writer.get();
    return dup2(in_.get(), STDIN_FILENO) >= 0 && dup2(out_.writer.get(), STDOUT_FILENO) >= 0 &&
           dup2(errors, STDERR_FILENO) >= 0;
  }

  [[nodiscard]] bool restrict() const {
    if (options_.distrusted) {
      volunteer_to_end();
      if (!become_nobody() || chdir("/") != 0) return false;
    }
    for (const ResourceLimit& limit : options_.limits) {
      const rlimit values{limit.soft, limit.hard};
      const auto resource = static_cast<decltype(RLIMIT_CPU)>(limit.resource);
      if (setrlimit(resource, &values) != 0) return false;
    }
    return true;
  }

  const ChildOptions& options_;
  Descriptor in_;
  Stream out_, err_;
  Descriptor end_;  // readable when the process has ended; none on kernels before 5.3
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

using Clock = std::chrono::steady_clock;

/// The time that a child may take, first for setting up and then for its task.
class Deadline {
 public:
  explicit Deadline(const ChildOptions& options) : options_(options) {}

  /// Says that the limit is over; empty if it is not.
  std::string overtime(const std::string& output) {
    if (!ready_ && output.starts_with(options_.ready)) {
      ready_ = true;
      start_ = Clock::now();
    }
    const double limit = ready_ ? options_.time_limit : kSetUpSeconds;
    const std::chrono::duration<double> elapsed = Clock::now() - start_;
    if (limit <= 0 || elapsed.count() <= limit) return {};
    return fmt::format("{} {} s", ready_ ? "took more than" : "was not ready after", limit);
  }

 private:
  const ChildOptions& options_;
  Clock::time_point start_ = Clock::now();
  bool ready_ = false;
};

/// Says that the output is larger than its limit, to which it is then cut; empty if it is not.
std::string flood(std::string& output, const ChildOptions& options) {
  if (options.output_limit <= 0 || std::ssize(output) <= options.output_limit) return {};
  output.resize(options.output_limit);
  return fmt::format("printed more than {} bytes", options.output_limit);
}

}  // namespace

ChildResult run_child(const std::vector<std::string>& arguments, const ChildOptions& options) {
  Deadline deadline(options);
  Child child(arguments, options);
  std::string message;
  while (!child.ended()) {
    if (interrupted()) fail_interrupted("interrupted");
    std::string excess = deadline.overtime(child.output());
    if (excess.empty()) excess = flood(child.output(), options);
    if (!excess.empty()) return {child.output(), excess};
    child.read();
    take_lines(child.messages(), options, message);
  }
  // A terminal's Ctrl-C ends the child as well.
  if (interrupted()) fail_interrupted("interrupted");
  child.read();
  child.messages() += '\n';
  take_lines(child.messages(), options, message);
  const std::string excess = flood(child.output(), options);
  if (!excess.empty()) return {child.output(), excess};
  const int status = child.end();
  return {child.output(), failure_of(status, message),
          WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

std::string last_line(const std::string& text) {
  const size_t end = text.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return {};
  const size_t before = text.find_last_of('\n', end);
  const size_t begin = before == std::string::npos ? 0 : before + 1;
  return text.substr(begin, end - begin + 1);
}

}  // namespace evo
