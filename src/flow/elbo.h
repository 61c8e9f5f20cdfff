// The unified ELBO as an integral over entropic time, and the statistics to estimate it with.
//
// For a token with clean code c and prediction x = E[c | z],
//
//     -log p(w) <= integral over t in [min_time, 1] of 1/2 |c - x|^2 (-dg/dt) dt
//                  + cross-entropy of the token at min_time (reconstruction),
//
// summed over tokens, along every path (see flow/path_integral.h). With t uniform on
// [min_time, 1] the estimate of one token is elbo_weight(min_time) * elbo_rate(...).
#pragma once

#include <cstdint>
#include <vector>

namespace evo::flow {

/// 1/2 |c - x|^2 (-dg/dt), in nats per unit of t.
[[nodiscard]] inline double elbo_rate(double squared_error, double snr_slope) {
  return 0.5 * squared_error * snr_slope;
}

/// Length of the interval of times: the importance weight of a uniform t in [min_time, 1].
[[nodiscard]] inline double elbo_weight(double min_time) {
  return 1.0 - min_time;
}

/// `count` low-discrepancy times in [min_time, 1), ascending: one in each of `count` equal
/// intervals, all shifted by `offset` in [0, 1) of an interval. A uniform offset makes each of
/// them, in random order, uniform on [min_time, 1), so their mean rate is unbiased.
[[nodiscard]] std::vector<double> stratified_times(int count, double offset, double min_time);

/// Mean and standard error of independent values (Welford's algorithm).
class RunningMean {
 public:
  void add(double value);
  /// As if the other's values had been added here (Chan's formula).
  void merge(const RunningMean& other);

  [[nodiscard]] int64_t count() const { return count_; }
  [[nodiscard]] double mean() const { return mean_; }  ///< 0 without values
  [[nodiscard]] double variance() const;               ///< unbiased; NaN for fewer than two values
  [[nodiscard]] double standard_error() const;  ///< of the mean; NaN for fewer than two values

 private:
  int64_t count_ = 0;
  double mean_ = 0;
  double squares_ = 0;  // sum of squared deviations from mean_
};

}  // namespace evo::flow
