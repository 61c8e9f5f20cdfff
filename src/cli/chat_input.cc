#include "cli/chat_input.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/error.h"
#include "base/interrupt.h"
#include "cli/program.h"

namespace evo {
namespace {

constexpr size_t kMaxTurn = size_t{16} << 20;

volatile std::sig_atomic_t ctrl_c_pending = 0;
// A byte in this pipe wakes whoever waits for input: a signal alone might arrive just before the
// wait, or in another thread.
int wake_pipe[2] = {-1, -1};
struct sigaction action_before = {};

extern "C" void on_ctrl_c(int) {
  if (ctrl_c_pending) _exit(130);
  ctrl_c_pending = 1;
  const int saved = errno;
  [[maybe_unused]] const ssize_t written = write(wake_pipe[1], "c", 1);
  errno = saved;
}

}  // namespace

ChatInterrupt::ChatInterrupt() {
  EVO_CHECK(wake_pipe[0] < 0);
  if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
    fail("cannot open a pipe: {}", errno_message(errno));
  }
  struct sigaction action = {};
  action.sa_handler = on_ctrl_c;
  sigaction(SIGINT, &action, &action_before);
}

ChatInterrupt::~ChatInterrupt() {
  sigaction(SIGINT, &action_before, nullptr);
  close(wake_pipe[0]);
  close(wake_pipe[1]);
  wake_pipe[0] = wake_pipe[1] = -1;
}

bool ChatInterrupt::pending() const {
  return ctrl_c_pending != 0;
}

bool ChatInterrupt::take() {
  if (!pending()) return false;
  char byte = 0;
  while (::read(wake_pipe[0], &byte, 1) > 0) {
  }
  ctrl_c_pending = 0;
  return true;
}

int ChatInterrupt::descriptor() const {
  return wake_pipe[0];
}

bool ChatInput::is_interactive() {
  return isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
}

ChatInput::Event ChatInput::read(std::string& turn) {
  turn.clear();
  for (bool first = true;; first = false) {
    if (is_interactive()) {
      fmt::print("{}", first ? "> " : ". ");
      flush_output();
    }
    std::string line;
    const Event event = read_line(line);
    if (event != Event::kTurn) {
      if (is_interactive()) fmt::print("\n");
      // What was begun before the end of the input is a turn all the same.
      return event == Event::kEnd && !turn.empty() ? Event::kTurn : event;
    }
    turn += line;
    if (!turn.ends_with('\\')) return Event::kTurn;
    turn.back() = '\n';
  }
}

ChatInput::Event ChatInput::read_line(std::string& line) {
  for (size_t searched = 0;;) {
    const size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos || (ended_ && !buffer_.empty())) {
      line = buffer_.substr(0, end);
      buffer_.erase(0, end == std::string::npos ? end : end + 1);
      return Event::kTurn;
    }
    if (ended_ || interrupted()) return Event::kEnd;
    searched = buffer_.size();
    if (searched > kMaxTurn) fail("a turn of more than {} bytes: send less at once", kMaxTurn);
    pollfd sources[] = {{STDIN_FILENO, POLLIN, 0}, {interrupt_.descriptor(), POLLIN, 0}};
    if (poll(sources, 2, -1) < 0 && errno != EINTR) {
      fail("cannot wait for input: {}", errno_message(errno));
    }
    if (interrupt_.take()) return Event::kInterrupt;
    if (sources[0].revents == 0) continue;
    char bytes[4096];
    const ssize_t count = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (count < 0 && errno != EINTR) fail("cannot read standard input: {}", errno_message(errno));
    ended_ = count == 0;
    if (count > 0) buffer_.append(bytes, static_cast<size_t>(count));
  }
}

}  // namespace evo
