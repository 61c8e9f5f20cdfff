#include "train/ranks/rank_times.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace evo::train {

void RankTimes::add(std::span<const double> busy, std::span<const double> transfer,
                    std::span<const double> waiting) {
  busy_.resize(busy.size());
  for (size_t rank = 0; rank < busy.size(); ++rank) busy_[rank] += busy[rank];
  transfer_ = std::accumulate(transfer.begin(), transfer.end(), transfer_);
  waiting_ = std::accumulate(waiting.begin(), waiting.end(), waiting_);
}

int RankTimes::slowest() const {
  return static_cast<int>(std::ranges::max_element(busy_) - busy_.begin());
}

double RankTimes::slowest_to_median() const {
  if (busy_.empty()) return NAN;
  std::vector<double> sorted = busy_;
  std::ranges::sort(sorted);
  // The lower one of two: of two ranks, the slow one is compared with the other.
  return sorted.back() / sorted[(sorted.size() - 1) / 2];
}

double RankTimes::communication_seconds() const {
  return transfer_ / static_cast<double>(busy_.size());
}

double RankTimes::hidden_share() const {
  if (busy_.empty()) return NAN;
  // Who waits may wake up later than the transfer ends.
  return std::max(0.0, 1 - waiting_ / transfer_);
}

}  // namespace evo::train
