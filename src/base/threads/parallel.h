// Loops on several threads (base/threads/thread_pool.h).
#pragma once

#include <algorithm>
#include <cstdint>

namespace evo {

/// Number of threads, 1 to 1024, that parallel loops of this process use from now on.
void set_threads(int threads);
int threads();

namespace parallel_internal {

/// How many parts a thread does: about one, or one after another until none is left.
enum class Schedule { kFixed, kDynamic };

/// True inside a parallel loop; loops inside of it run on the thread that meets them.
bool in_parallel();

/// call(fn, part) for part in [0, parts) on up to `max_threads` threads. Rethrows the first
/// exception that a part throws, after which no part is begun.
void run_parts(int64_t parts, int max_threads, Schedule schedule,
               void (*call)(const void* fn, int64_t part), const void* fn);

template <class Fn>
void run_parts(int64_t parts, int max_threads, Schedule schedule, const Fn& fn) {
  const auto call = [](const void* erased, int64_t part) {
    (*static_cast<const Fn*>(erased))(part);
  };
  run_parts(parts, max_threads, schedule, call, &fn);
}

}  // namespace parallel_internal

/// Calls fn(begin, end) over a partition of [0, count) into contiguous ranges, one per thread. It
/// depends on `count`, `grain` and the number of threads only; which thread does a range is open.
/// Work whose result must not depend on the number of threads must be independent per element.
/// Ranges shorter than `grain` are not split. An exception of fn comes out of the loop.
template <class Fn>
void parallel_for(int64_t count, int64_t grain, const Fn& fn) {
  if (count <= 0) return;
  const int64_t parts =
      std::min<int64_t>(threads(), std::max<int64_t>(1, count / std::max<int64_t>(1, grain)));
  if (parts <= 1 || parallel_internal::in_parallel()) {
    fn(int64_t{0}, count);
    return;
  }
  parallel_internal::run_parts(
      parts, static_cast<int>(parts), parallel_internal::Schedule::kFixed,
      [&](int64_t part) { fn(count * part / parts, count * (part + 1) / parts); });
}

/// Calls fn(i) for i in [0, count) with dynamic scheduling: for items of unequal cost. An exception
/// of fn comes out of the loop, and items not yet begun are left out.
template <class Fn>
void parallel_items(int64_t count, const Fn& fn) {
  if (count <= 1 || threads() <= 1 || parallel_internal::in_parallel()) {
    for (int64_t i = 0; i < count; ++i) fn(i);
    return;
  }
  parallel_internal::run_parts(count, threads(), parallel_internal::Schedule::kDynamic, fn);
}

/// Multiply-adds that one core does in about the time that it takes to wake another.
inline constexpr int64_t kSerialWork = 1 << 17;

/// parallel_items() for items that together are `work` multiply-adds: on the calling thread if it
/// is not worth waking others.
template <class Fn>
void parallel_items(int64_t count, int64_t work, const Fn& fn) {
  if (work >= kSerialWork) return parallel_items(count, fn);
  for (int64_t i = 0; i < count; ++i) fn(i);
}

}  // namespace evo
