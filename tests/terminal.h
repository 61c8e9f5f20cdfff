// The built program at a terminal of its own, with somebody who types.
#pragma once

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "program.h"
#include "screen.h"

namespace evo::testing {

/// The program does not outlive the object.
class Terminal {
 public:
  /// Runs a line of shell in which $EVO is the program.
  Terminal(const std::string& line, size_t width, size_t height = 50) : screen_(width, height) {
    prepare_environment();
    const winsize size = window(width, height);
    pid_ = forkpty(&master_, nullptr, nullptr, &size);
    EVO_CHECK(pid_ >= 0);
    if (pid_ > 0) return;
    setenv("TERM", "xterm-256color", 0);
    execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    _exit(127);
  }
  ~Terminal() {
    if (pid_ > 0) {
      kill(-pid_, SIGKILL);  // a session of its own: the shell and what it has started
      waitpid(pid_, nullptr, 0);
    }
    close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(std::string_view keys) const {
    ASSERT_EQ(::write(master_, keys.data(), keys.size()), std::ssize(keys));
  }
  /// The window becomes as wide as that; what was shown stays as most terminals have it.
  void resize(size_t width) {
    kill(-pid_, SIGSTOP);  // what it wrote for the old width must be shown at that
    for (size_t before = 0; before != written_.size();) {
      before = written_.size();
      read_for(100);
    }
    screen_.resize(width, true);
    const winsize size = window(width, 50);
    ioctl(master_, TIOCSWINSZ, &size);
    kill(-pid_, SIGCONT);
  }
  /// Reads what is shown until `holds`; false if that is not so within a minute.
  bool wait_until(const std::function<bool()>& holds) {
    for (int i = 0; i < 6000; ++i) {
      if (holds()) return true;
      if (!read_for(10)) return holds();
    }
    return false;
  }
  bool wait_for(std::string_view text) {
    return wait_until([&] { return screen_.shows(text); });
  }
  /// Reads nothing until the program waits for a terminal that has shown nothing for so long.
  void let_wait() const {
    constexpr useconds_t kLong = 200'000;
    for (int shown = -1, waiting = 0; waiting > shown;) {
      shown = std::exchange(waiting, 0);
      usleep(kLong);
      ioctl(master_, FIONREAD, &waiting);
    }
  }
  /// Whether the program reads key by key; what is typed before, the system edits and echoes.
  [[nodiscard]] bool reads_keys() const {
    termios state{};
    return tcgetattr(master_, &state) == 0 && (state.c_lflag & ICANON) == 0;
  }
  /// Reads to the end; the program's exit code. A program that is silent for a minute is ended.
  int wait() {
    for (size_t before = written_.size() + 1; before != written_.size();) {
      before = written_.size();
      if (!read_for(60'000)) break;
      if (before == written_.size()) kill(-pid_, SIGKILL);
    }
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return exit_code(status);
  }

  [[nodiscard]] const Screen& screen() const { return screen_; }
  [[nodiscard]] const std::string& written() const { return written_; }  ///< all bytes

 private:
  static winsize window(size_t width, size_t height) {
    winsize size{};
    size.ws_col = static_cast<unsigned short>(width);
    size.ws_row = static_cast<unsigned short>(height);
    return size;
  }

  /// What comes within that time; false if nothing will come any more.
  bool read_for(int milliseconds) {
    pollfd source{master_, POLLIN, 0};
    if (poll(&source, 1, milliseconds) <= 0) return true;
    char bytes[4096];
    const ssize_t count = ::read(master_, bytes, sizeof bytes);
    if (count <= 0) return count < 0 && errno == EINTR;
    written_.append(bytes, static_cast<size_t>(count));
    screen_.write({bytes, static_cast<size_t>(count)});
    return true;
  }

  Screen screen_;
  std::string written_;
  pid_t pid_ = -1;
  int master_ = -1;
};

}  // namespace evo::testing
