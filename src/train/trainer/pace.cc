#include "train/trainer/pace.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace evo::train {
namespace {

// In the unit of patience: how long the rest of the work may take where the run is to stop, and
// where its time is over; and from one look to the next, as layers of small models take much less.
constexpr double kRestAtStop = 5, kRestAtDeadline = 1, kBetweenLooks = 0.05;

double seconds_between(Pace::Clock::time_point from, Pace::Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

void Pace::begin(std::string what, int64_t passes, Clock::time_point deadline) {
  active_ = true;
  explained_ = false;
  what_ = std::move(what);
  passes_ = passes;
  pass_ = 0;
  share_ = 0;
  deadline_ = deadline;
  begin_ = looked_ = Clock::now();
}

void Pace::begin_pass(int64_t pass) {
  pass_ = pass;
  at(0);
}

void Pace::at(double share) {
  if (!active_) return;
  // Never back: the first pass of self-conditioning goes through the layers before the others do.
  share_ = std::max(share_, (static_cast<double>(pass_) + share) / static_cast<double>(passes_));
  const Clock::time_point now = Clock::now();
  const double seconds = seconds_between(begin_, now);
  if (seconds < options_.patience) return;
  if (seconds_between(looked_, now) < kBetweenLooks * options_.patience) return;
  looked_ = now;
  if (options_.show) options_.show(what_, share_);
  if (options_.may_abandon) decide(seconds, now);
}

void Pace::decide(double seconds, Clock::time_point now) {
  stopping_ = stopping_ || options_.stop();
  const double left =
      share_ > 0 ? seconds * (1 - share_) / share_ : std::numeric_limits<double>::infinity();
  const auto explain = [&](const std::string& text) {
    if (options_.explain && !std::exchange(explained_, true)) options_.explain(text);
  };
  if (stopping_ && left > kRestAtStop * options_.patience) {
    explain(fmt::format("stopping: {} is given up at {:.0f}%", what_, 100 * share_));
  } else if (stopping_) {
    explain(fmt::format("stopping after {}, {:.0f} s", what_, left));
    return;
  } else if (now < deadline_ || left <= kRestAtDeadline * options_.patience) {
    return;
  }
  active_ = false;
  throw Abandoned();
}

}  // namespace evo::train
