#include "base/threads/parallel.h"

#include <atomic>
#include <exception>
#include <mutex>

#include "base/error.h"
#include "base/threads/cpu_limit.h"
#include "base/threads/thread_pool.h"

namespace evo {
namespace {

std::atomic<int>& thread_count() {
  static std::atomic<int> count =
      static_cast<int>(std::min<int64_t>(default_threads(), kMaxThreads));
  return count;
}

using Call = void (*)(const void* fn, int64_t part);

/// One loop. An exception must not leave a helper, so it is kept for later.
class Loop {
 public:
  Loop(int64_t count, Call call, const void* fn) : count_(count), call_(call), fn_(fn) {}

  void run_fixed() { run_on_threads(count_, run_one); }
  void run_dynamic(int max_threads) {
    run_on_threads(std::min<int64_t>(count_, max_threads), run_next);
  }

 private:
  void run_on_threads(int64_t parts, void (*part_of)(void* loop, int64_t part)) {
    run_in_pool({parts, part_of, this});
    if (exception_) std::rethrow_exception(exception_);
  }

  static void run_one(void* self, int64_t part) { static_cast<Loop*>(self)->run(part); }

  /// What one thread does: the next part that nobody has begun, until there is none.
  static void run_next(void* self, int64_t /*thread*/) {
    Loop& loop = *static_cast<Loop*>(self);
    for (int64_t part = 0;
         (part = loop.next_.fetch_add(1, std::memory_order_relaxed)) < loop.count_;) {
      loop.run(part);
    }
  }

  void run(int64_t part) {
    try {
      if (!failed_.load(std::memory_order_relaxed)) call_(fn_, part);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!exception_) exception_ = std::current_exception();
      failed_.store(true, std::memory_order_relaxed);
    }
  }

  int64_t count_;
  Call call_;
  const void* fn_;
  std::atomic<int64_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::exception_ptr exception_;
};

}  // namespace

void set_threads(int count) {
  EVO_CHECK(count >= 1 && count <= kMaxThreads);
  thread_count().store(count, std::memory_order_relaxed);
}

int threads() {
  return thread_count().load(std::memory_order_relaxed);
}

namespace parallel_internal {

bool in_parallel() {
  return in_pool_loop();
}

void run_parts(int64_t count, int max_threads, Schedule schedule, Call call, const void* fn) {
  Loop loop(count, call, fn);
  if (schedule == Schedule::kFixed) {
    loop.run_fixed();
  } else {
    loop.run_dynamic(max_threads);
  }
}

}  // namespace parallel_internal
}  // namespace evo
