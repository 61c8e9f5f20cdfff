// Which source each sequence of a mixture is from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace evo::data {

/// Deals the numbers 0, 1, 2 ... to k sources in proportion to their weights, evenly: of the first
/// n, and so for every n, source s has its share of n to within max(1, k - 1) / 2; of any n in a
/// row to within twice that. A pure function of the number, in k steps.
class Mixture {
 public:
  /// Weights are > 0 and finite, and kept to 2^-31 of their sum. Throws Error for one that is
  /// smaller than that.
  explicit Mixture(std::span<const double> weights);

  struct Place {
    int64_t source = 0;
    int64_t index = 0;  ///< how many numbers before this one its source has
  };
  [[nodiscard]] Place at(int64_t number) const;

 private:
  std::vector<int64_t> weights_;
  std::vector<int64_t> rest_;  // of a source's weight and all after it
};

}  // namespace evo::data
