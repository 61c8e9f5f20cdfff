#include "data/loader_mixture.h"

#include <cmath>
#include <numeric>

#include "base/error.h"

namespace evo::data {
namespace {

// So that the product of two sums of weights fits into 64 bits.
constexpr double kWeightSum = 0x1p30;

/// count * weight / sum, rounded to nearest; weight <= sum.
int64_t share_of(int64_t count, int64_t weight, int64_t sum) {
  return count / sum * weight + (count % sum * weight + sum / 2) / sum;
}

}  // namespace

Mixture::Mixture(std::span<const double> weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (const double weight : weights) {
    EVO_CHECK(weight > 0 && std::isfinite(sum));
    weights_.push_back(std::llround(weight / sum * kWeightSum));
    if (weights_.back() > 0) continue;
    fail("the weight {} is too small beside the others, which with it are {} together", weight,
         sum);
  }
  rest_.resize(weights_.size());
  std::inclusive_scan(weights_.rbegin(), weights_.rend(), rest_.rbegin());
}

// The first source gets its share of all numbers, rounded; the next one its share of those left,
// and so on. With r_s the weight of source s among those of s and later, and E_s how many more
// numbers than their share s and later have: E_0 = 0 and E_{s+1} = E_s (1 - r_s) + e, |e| <= 1/2 by
// rounding, thus |E_s| <= s / 2. Source s has E_s r_s - e more than its share: at most s / 2 + 1/2,
// and for the last one, where r = 1 and nothing is rounded, (k - 1) / 2.
Mixture::Place Mixture::at(int64_t number) const {
  EVO_CHECK(number >= 0);
  for (size_t s = 0;; ++s) {
    const int64_t before = share_of(number, weights_[s], rest_[s]);
    const int64_t after = share_of(number + 1, weights_[s], rest_[s]);
    if (after > before) return {static_cast<int64_t>(s), before};
    number -= before;
  }
}

}  // namespace evo::data
