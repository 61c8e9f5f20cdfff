#include "cli/chat/chat_input.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "base/error.h"
#include "base/process/interrupt.h"
#include "base/process/watcher.h"
#include "base/terminal/terminal.h"
#include "cli/program.h"

namespace evo::cli {
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
  action_before = catch_signal(SIGINT, on_ctrl_c);
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

ChatInput::ChatInput(ChatInterrupt& interrupt, TurnFile history)
    : interrupt_(interrupt), history_(std::move(history)) {
  if (!is_interactive() || !is_live_terminal(STDOUT_FILENO)) return;
  editor_ = make_line_editor(interrupt);
  if (editor_ == nullptr) return;
  for (const std::string& turn : history_.read()) editor_->remember(turn);
}

ChatInput::Event ChatInput::read(std::string& turn) {
  const Event event = read_turn(turn);
  if (editor_ != nullptr && event == Event::kTurn && !turn.empty()) {
    editor_->remember(turn);
    history_.add(turn);
  }
  return event;
}

ChatInput::Event ChatInput::read_turn(std::string& turn) {
  turn.clear();
  for (bool first = true;; first = false) {
    std::string line;
    const Event event = read_line(first ? "> " : ". ", line);
    // What was begun before the end of the input is a turn all the same.
    if (event == Event::kEnd && !turn.empty()) return Event::kTurn;
    if (event != Event::kTurn) return event;
    turn += line;
    if (!turn.ends_with('\\')) return Event::kTurn;
    turn.back() = '\n';
  }
}

ChatInput::Event ChatInput::read_line(const std::string& prompt, std::string& line) {
  if (editor_ != nullptr) {
    flush_output();
    const LineEditor::Event event = editor_->read(prompt, line);
    return event == LineEditor::Event::kLine        ? Event::kTurn
           : event == LineEditor::Event::kInterrupt ? Event::kInterrupt
                                                    : Event::kEnd;
  }
  if (is_interactive()) {
    fmt::print("{}", prompt);
    flush_output();
  }
  const Event event = read_plain_line(line);
  if (event != Event::kTurn && is_interactive()) fmt::print("\n");
  return event;
}

ChatInput::Event ChatInput::read_plain_line(std::string& line) {
  for (size_t searched = 0;;) {
    const size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos || (ended_ && !buffer_.empty())) {
      line = buffer_.substr(0, end);
      buffer_.erase(0, end == std::string::npos ? end : end + 1);
      if (line.ends_with('\r')) line.pop_back();
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

}  // namespace evo::cli
