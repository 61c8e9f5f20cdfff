// Threads: one OpenMP pool for our loops and for oneDNN.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace evo {

/// Number of threads that parallel loops and matrix products use from now on.
void set_threads(int threads);
int threads();

/// Calls fn(begin, end) over a partition of [0, count) into contiguous ranges, one per thread.
/// The partition depends on `count`, `grain` and the number of threads only. Work whose result
/// must not depend on the number of threads has to be independent per element.
/// Ranges shorter than `grain` are not split.
template <class Fn>
void parallel_for(int64_t count, int64_t grain, const Fn& fn) {
  if (count <= 0) return;
  const int64_t parts =
      std::min<int64_t>(threads(), std::max<int64_t>(1, count / std::max<int64_t>(1, grain)));
  if (parts <= 1 || omp_in_parallel()) {
    fn(int64_t{0}, count);
    return;
  }
#pragma omp parallel for num_threads(static_cast <int>(parts)) schedule(static, 1)
  for (int64_t part = 0; part < parts; ++part) {
    fn(count * part / parts, count * (part + 1) / parts);
  }
}

/// Calls fn(i) for i in [0, count) with dynamic scheduling: for items of unequal cost.
template <class Fn>
void parallel_items(int64_t count, const Fn& fn) {
#pragma omp parallel for num_threads(threads()) \
    schedule(dynamic, 1) if (count > 1 && !omp_in_parallel())
  for (int64_t i = 0; i < count; ++i) fn(i);
}

}  // namespace evo
