// How the ranks of a job spend their time, side by side.
#pragma once

#include <span>
#include <vector>

namespace evo::train {

/// Sums over steps, of every rank.
class RankTimes {
 public:
  /// Of one step, in seconds per rank: work without waiting for others; communication, and what of
  /// it was waited for.
  void add(std::span<const double> busy, std::span<const double> transfer,
           std::span<const double> waiting);
  void clear() { *this = {}; }

  /// The rank that works longest. A job is as fast as its slowest rank.
  [[nodiscard]] int slowest() const;
  /// Its time against the median rank's: 1 if all are alike, NaN before anything was added.
  [[nodiscard]] double slowest_to_median() const;
  [[nodiscard]] double communication_seconds() const;  ///< per rank
  [[nodiscard]] double hidden_share() const;  ///< of communication, behind computation; or NaN

 private:
  std::vector<double> busy_;           // [ranks]
  double transfer_ = 0, waiting_ = 0;  // of all ranks
};

}  // namespace evo::train
