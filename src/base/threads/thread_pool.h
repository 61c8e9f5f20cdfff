// The threads that help with parallel loops (base/threads/parallel.h is what to use).
#pragma once

#include <cstdint>

namespace evo {

/// More threads than these are never used.
inline constexpr int kMaxThreads = 1024;

/// The parts of one loop, 1 to kMaxThreads: call(context, part) for each, on any thread, in any
/// order, at the same time. `call` must not throw.
struct PoolLoop {
  int64_t parts = 0;
  void (*call)(void* context, int64_t part) = nullptr;
  void* context = nullptr;
};

/// Runs a loop with the calling thread and up to parts - 1 helpers of the process, and returns when
/// every part has ended. A part that no helper has begun yet is done by the caller, so that a loop
/// never waits for a thread to wake up, nor for one that the system does not let run, unless that
/// was in the middle of a part. Several threads may call at the same time. Parts see the caller's
/// floating-point modes (base/denormals.h).
///
/// Who waits, for work or for the last part, watches for some microseconds and then sleeps; where
/// other programs want the same cores, it sleeps at once.
void run_in_pool(const PoolLoop& loop);

/// Whether the calling thread is in a part of a loop.
[[nodiscard]] bool in_pool_loop();

}  // namespace evo
