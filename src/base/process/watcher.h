// Whoever started long work watches it: may end it, and sees how far it is. Work itself reads no
// signal and writes on no terminal.
#pragma once

#include <memory>
#include <string>

#include "base/error.h"

namespace evo {

/// Work that was ended before its end: the program exits with 130, as shells have it. The message
/// says what is left of it, and how to go on.
class Interrupted : public Error {
 public:
  using Error::Error;
};

/// Throws Interrupted with a formatted message.
template <class... Args>
[[noreturn]] void fail_interrupted(fmt::format_string<Args...> format, Args&&... args) {
  throw Interrupted(fmt::format(format, std::forward<Args>(args)...));
}

/// How far some work is.
struct ProgressState {
  std::string label, unit;
  double done = 0, total = 0;  ///< in units
  double begin = 0;            ///< what was done before, by an earlier run
};

/// Shows how far one piece of work is, until it is destroyed.
class ProgressView {
 public:
  ProgressView() = default;
  ProgressView(const ProgressView&) = delete;
  ProgressView& operator=(const ProgressView&) = delete;
  virtual ~ProgressView() = default;
  virtual void update(double done, const std::string& note) = 0;
};

class Watcher {
 public:
  Watcher() = default;
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  virtual ~Watcher() = default;
  /// Asked now and then, from any thread.
  [[nodiscard]] virtual bool wants_end() const { return false; }
  /// Called as work begins; nullptr: nobody looks.
  [[nodiscard]] virtual std::unique_ptr<ProgressView> view(const ProgressState& begin);
};

/// Watches what the calling thread does while it lives, instead of who did before.
class WatchScope {
 public:
  explicit WatchScope(Watcher& watcher);
  ~WatchScope();
  WatchScope(const WatchScope&) = delete;
  WatchScope& operator=(const WatchScope&) = delete;

 private:
  Watcher* before_;
};

/// Watches every thread that has no scope; nullptr, as at first: nobody does.
void set_program_watcher(Watcher* watcher);

/// Who watches the calling thread. Work that hands parts to other threads asks it beforehand.
[[nodiscard]] Watcher& watcher();

/// Whether the calling thread's work is to end: it then throws Interrupted, or ends in order.
[[nodiscard]] bool interrupted();

/// Tells the watcher how far work is that may take longer than two seconds.
class Progress {
 public:
  /// `total` in `unit`s ("MB", "tokens", "steps"). Quiet: the watcher hears nothing.
  Progress(std::string label, double total, std::string unit, bool quiet = false, double begin = 0);

  void update(double done, const std::string& note = {}) {
    if (view_) view_->update(done, note);
  }
  void finish() { view_.reset(); }  ///< the destructor does it too

 private:
  std::unique_ptr<ProgressView> view_;
};

}  // namespace evo
