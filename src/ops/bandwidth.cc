#include "ops/bandwidth.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"

namespace evo {
namespace {

__attribute__((target_clones("default", "avx2", "avx512f"))) uint64_t sum(const uint64_t* from,
                                                                          int64_t count) {
  return std::accumulate(from, from + count, uint64_t{0});
}

}  // namespace

void read_ones(std::span<const uint64_t> ones) {
  parallel_for(std::ssize(ones), 4096, [&](int64_t begin, int64_t end) {
    // Checked, so that the reading cannot be optimised away.
    EVO_CHECK(sum(ones.data() + begin, end - begin) == static_cast<uint64_t>(end - begin));
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

}  // namespace evo
