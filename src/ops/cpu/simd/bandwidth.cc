#include "ops/machine.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/threads/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/bandwidth.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

/// Several sums side by side: an addition takes longer than a load.
uint64_t sum(const uint64_t* from, size_t count) {
  constexpr size_t kSums = 4;
  const hn::ScalableTag<uint64_t> d;
  const size_t lanes = hn::Lanes(d);
  auto first = hn::Zero(d), second = first, third = first, fourth = first;
  size_t i = 0;
  for (; i + kSums * lanes <= count; i += kSums * lanes) {
    first = hn::Add(first, hn::LoadU(d, from + i));
    second = hn::Add(second, hn::LoadU(d, from + i + lanes));
    third = hn::Add(third, hn::LoadU(d, from + i + 2 * lanes));
    fourth = hn::Add(fourth, hn::LoadU(d, from + i + 3 * lanes));
  }
  const auto all = hn::Add(hn::Add(first, second), hn::Add(third, fourth));
  return std::accumulate(from + i, from + count, hn::GetLane(hn::SumOfLanes(d, all)));
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace evo::ops {
namespace {

HWY_EXPORT(sum);

}  // namespace

void read_ones(std::span<const uint64_t> ones) {
  parallel_for(std::ssize(ones), 4096, [&](int64_t begin, int64_t end) {
    // Checked, so that the reading cannot be optimised away.
    const auto count = static_cast<size_t>(end - begin);
    EVO_CHECK(HWY_DYNAMIC_DISPATCH(sum)(ones.data() + begin, count) == count);
  });
}

double measure_read_bandwidth(size_t bytes, double seconds) {
  using Clock = std::chrono::steady_clock;
  const std::vector<uint64_t> words(std::max<size_t>(1, bytes / sizeof(uint64_t)), 1);
  const auto read = [&] {
    const auto start = Clock::now();
    read_ones(words);
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  read();
  double best = read();
  for (const auto start = Clock::now();
       std::chrono::duration<double>(Clock::now() - start).count() < seconds;) {
    best = std::min(best, read());
  }
  return static_cast<double>(words.size() * sizeof(uint64_t)) / best;
}

}  // namespace evo::ops
#endif
