// A few numbers of every rank, side by side.
#pragma once

#include <span>
#include <vector>

#include "comm/communicator.h"

namespace evo::comm {

/// Made by all ranks together; the same on each.
class RankTable {
 public:
  /// `own` [n], as long on every rank.
  RankTable(Communicator& ranks, std::span<const double> own)
      : width_(own.size()), numbers_(own.size() * static_cast<size_t>(ranks.size())) {
    ranks.gather(own, numbers_);
  }
  RankTable(Communicator& ranks, double own) : RankTable(ranks, std::span<const double>(&own, 1)) {}

  [[nodiscard]] int ranks() const { return static_cast<int>(numbers_.size() / width_); }
  [[nodiscard]] std::span<const double> row(int rank) const {  // [n]
    return std::span(numbers_).subspan(static_cast<size_t>(rank) * width_, width_);
  }
  [[nodiscard]] std::vector<double> column(size_t place) const {  // [ranks]
    std::vector<double> result;
    for (size_t i = place; i < numbers_.size(); i += width_) result.push_back(numbers_[i]);
    return result;
  }
  /// Of a column, added from rank 0 upwards.
  [[nodiscard]] double sum(size_t place) const {
    double result = numbers_[place];
    for (size_t i = place + width_; i < numbers_.size(); i += width_) result += numbers_[i];
    return result;
  }

 private:
  size_t width_;
  std::vector<double> numbers_;
};

}  // namespace evo::comm
