#include "flow/elbo.h"

#include <cmath>
#include <limits>

#include "base/error.h"

namespace evo::flow {

std::vector<double> stratified_times(int count, double offset, double min_time) {
  EVO_CHECK(count >= 0 && offset >= 0 && offset < 1 && min_time >= 0 && min_time < 1);
  std::vector<double> times(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    times[i] = min_time + elbo_weight(min_time) * (i + offset) / count;
  }
  return times;
}

void RunningMean::add(double value) {
  ++count_;
  const double from_old_mean = value - mean_;
  mean_ += from_old_mean / static_cast<double>(count_);
  squares_ += from_old_mean * (value - mean_);
}

void RunningMean::merge(const RunningMean& other) {
  if (other.count_ == 0) return;
  const auto own = static_cast<double>(count_);
  const auto theirs = static_cast<double>(other.count_);
  const double distance = other.mean_ - mean_;
  mean_ += distance * theirs / (own + theirs);
  squares_ += other.squares_ + distance * distance * own * theirs / (own + theirs);
  count_ += other.count_;
}

double RunningMean::variance() const {
  if (count_ < 2) return std::numeric_limits<double>::quiet_NaN();
  return squares_ / static_cast<double>(count_ - 1);
}

double RunningMean::standard_error() const {
  return std::sqrt(variance() / static_cast<double>(count_));
}

}  // namespace evo::flow
