#include "base/parallel.h"

#include <omp.h>

#include <atomic>
#include <exception>
#include <mutex>

#include "base/error.h"

// The thread sanitizer does not see how libgomp hands work over and waits for it. So it is not
// shown the OpenMP loops (the functions that GCC makes of them inherit the attribute), and the two
// atomics of Parts tell it what it has to know.
#if defined(__SANITIZE_THREAD__)
#define EVO_UNSEEN_BY_TSAN __attribute__((no_sanitize("thread"), noinline))
#else
#define EVO_UNSEEN_BY_TSAN
#endif

namespace evo {

void set_threads(int count) {
  EVO_CHECK(count >= 1);
  omp_set_num_threads(count);
}

int threads() {
  return omp_get_max_threads();
}

namespace parallel_internal {
namespace {

/// The parts of one loop. An exception must not leave an OpenMP loop, so it is kept for later.
class Parts {
 public:
  Parts(void (*call)(const void* fn, int64_t part), const void* fn) : call_(call), fn_(fn) {
    begun_.store(true, std::memory_order_release);
  }

  [[gnu::noinline]] void run(int64_t part) {
    (void)begun_.load(std::memory_order_acquire);
    try {
      if (!failed_.load(std::memory_order_relaxed)) call_(fn_, part);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!exception_) exception_ = std::current_exception();
      failed_.store(true, std::memory_order_relaxed);
    }
    ended_.fetch_add(1, std::memory_order_release);
  }

  void finish() {
    (void)ended_.load(std::memory_order_acquire);
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  void (*call_)(const void* fn, int64_t part);
  const void* fn_;
  std::atomic<bool> begun_ = false;  // what came before the loop is before every part ...
  std::atomic<int64_t> ended_ = 0;   // ... and every part before what comes after the loop
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::exception_ptr exception_;
};

EVO_UNSEEN_BY_TSAN void run_fixed(int64_t count, int max_threads, Parts& parts) {
#pragma omp parallel for num_threads(max_threads) schedule(static, 1)
  for (int64_t part = 0; part < count; ++part) parts.run(part);
}

EVO_UNSEEN_BY_TSAN void run_dynamic(int64_t count, int max_threads, Parts& parts) {
#pragma omp parallel for num_threads(max_threads) schedule(dynamic, 1)
  for (int64_t part = 0; part < count; ++part) parts.run(part);
}

}  // namespace

bool in_parallel() {
  return omp_in_parallel() != 0;
}

void run_parts(int64_t count, int max_threads, Schedule schedule,
               void (*call)(const void* fn, int64_t part), const void* fn) {
  Parts parts(call, fn);
  if (schedule == Schedule::kFixed) {
    run_fixed(count, max_threads, parts);
  } else {
    run_dynamic(count, max_threads, parts);
  }
  parts.finish();
}

}  // namespace parallel_internal
}  // namespace evo
