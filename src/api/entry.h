// Where calls from outside come in.
#pragma once

#include <evo/error.hpp>
#include <exception>
#include <functional>
#include <system_error>
#include <utility>

#include "base/denormals.h"
#include "base/error.h"
#include "base/process/watcher.h"

namespace evo::api {

/// Numbers too small to matter are 0 while it lives, as in the program; threads that are started
/// meanwhile keep that.
class FlushedDenormals {
 public:
  FlushedDenormals() : before_(floating_point_modes()) { flush_denormals(); }
  ~FlushedDenormals() { set_floating_point_modes(before_); }
  FlushedDenormals(const FlushedDenormals&) = delete;
  FlushedDenormals& operator=(const FlushedDenormals&) = delete;

 private:
  unsigned before_;
};

/// The caller, who may want an end from another thread.
class CallerWatcher : public Watcher {
 public:
  explicit CallerWatcher(std::function<bool()> wants_end) : wants_end_(std::move(wants_end)) {}
  [[nodiscard]] bool wants_end() const override { return wants_end_(); }

 private:
  std::function<bool()> wants_end_;
};

/// What fn() returns; its errors become those of the front door.
template <class Fn>
auto enter(const Fn& fn) {
  const FlushedDenormals flushed;
  try {
    return fn();
  } catch (const evo::UsageError& error) {
    throw UsageError(error.what());
  } catch (const evo::Interrupted& error) {
    throw Interrupted(error.what());
  } catch (const evo::Error& error) {
    throw Error(error.what());
  } catch (const std::system_error& error) {  // of the file system
    throw Error(error.what());
  }
}

/// Keeps what callbacks throw: the work first ends in order, and no error of theirs is taken for
/// one of ours.
class CallbackGuard {
 public:
  /// Calls fn, unless an earlier one threw.
  template <class Fn>
  void call(const Fn& fn) {
    if (thrown_) return;
    try {
      fn();
    } catch (...) {
      thrown_ = std::current_exception();
    }
  }
  [[nodiscard]] bool has_thrown() const { return thrown_ != nullptr; }
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  std::exception_ptr thrown_;
};

}  // namespace evo::api
