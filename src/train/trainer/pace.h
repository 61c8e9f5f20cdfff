// How far the step at hand is, and whether there is still time for the rest of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace evo::train {

/// Thrown between two layers of a pass that is not to be completed. No std::exception: only who
/// began the work knows what to do.
struct Abandoned {};

/// Watches work that may take long, a step or a validation, from between the layers of its passes.
/// When the run is to stop, or its time is over, work that would not be done soon is abandoned.
class Pace {
 public:
  using Clock = std::chrono::steady_clock;
  struct Options {
    std::function<bool()> stop;  ///< whether the run is to stop; once true, that is kept
    /// Seconds after which work is asked about: what is shorter is always completed, and so is what
    /// would be done in five times as many, or in as many where its time is over.
    double patience = 1;
    bool may_abandon = true;  ///< else all is completed
    /// Told how far which work is; may be empty.
    std::function<void(const std::string& what, double share)> show;
    /// Told once what becomes of the work; may be empty.
    std::function<void(const std::string& text)> explain;
  };
  explicit Pace(Options options) : options_(std::move(options)) {}

  /// Work that explain() calls `what`, in `passes`, with time until `deadline`.
  void begin(std::string what, int64_t passes, Clock::time_point deadline);
  void begin_pass(int64_t pass);  ///< 0, 1 ..
  /// So much of the pass is done; of no effect but between begin() and end(). Throws Abandoned.
  void at(double share);
  void end() { active_ = false; }

  [[nodiscard]] bool stopping() const { return stopping_; }

 private:
  void decide(double seconds, Clock::time_point now);

  Options options_;
  bool active_ = false, stopping_ = false, explained_ = false;
  std::string what_;
  int64_t pass_ = 0, passes_ = 1;
  double share_ = 0;  // of the work
  Clock::time_point begin_, deadline_, looked_;
};

}  // namespace evo::train
