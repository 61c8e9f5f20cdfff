#include "base/threads/thread_pool.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/denormals.h"
#include "base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace evo {
namespace {

// Times are in nanoseconds.
constexpr int64_t kMicrosecond = 1000, kMillisecond = 1000 * kMicrosecond;

// For how long to watch before sleeping: loops of a pass follow each other within microseconds, and
// to wake a thread takes some 50 us of its time and 5 us of the caller's.
constexpr int64_t kWatchForWork = 100 * kMicrosecond, kWatchForParts = 100 * kMicrosecond;
constexpr int64_t kShortestWatch = 5 * kMicrosecond;
// Who watches and finds so much time gone shares the core with another program. For a while nobody
// then watches for longer than a pass needs to come to its next loop.
constexpr int64_t kGap = 50 * kMicrosecond, kBusyTime = 20 * kMillisecond,
                  kBusyWatch = 3 * kMicrosecond;
// A helper is not woken more often, so that short loops do not pay for it.
constexpr int64_t kBetweenWakes = 100 * kMicrosecond;
// A helper for which a caller waited so long, and longer than for its own parts, was taken off its
// core in the middle of a part. It rests, for twice as long if that happens again soon; the other
// threads do its parts.
constexpr int64_t kStall = 500 * kMicrosecond, kFirstRest = 10 * kMillisecond,
                  kLongestRest = 320 * kMillisecond;

constexpr int kPausesPerLook = 8, kLooksPerYield = 8;
constexpr size_t kMaxLoops = 16;
constexpr size_t kCacheLine = 64;
constexpr int kPartsBits = 16;
static_assert(kMaxThreads < 1 << kPartsBits);

thread_local bool in_loop = false;

int64_t now_ns() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Returns when woken, when `word` is not `value`, or for no reason.
void sleep_while(std::atomic<uint32_t>& word, uint32_t value) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void wake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

std::atomic<int64_t> busy_until{0};  // see kBusyTime

[[nodiscard]] bool busy(int64_t time) {
  return time < busy_until.load(std::memory_order_relaxed);
}

/// Who watches lets other programs' threads have the core now and then, or keeps it.
enum class Manners { kYield, kKeep };

/// Watches until done(), for `limit` at most; returns done().
template <Manners manners, class Done>
bool watch(int64_t limit, const Done& done) {
  const int64_t start = now_ns();
  int64_t last = start;
  for (int looks = 1;; ++looks) {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (done()) return true;
      pause();
    }
    if (manners == Manners::kYield && looks % kLooksPerYield == 0) std::this_thread::yield();
    const int64_t time = now_ns();
    if (time - last > kGap) {
      busy_until.store(time + kBusyTime, std::memory_order_relaxed);
      return done();
    }
    last = time;
    if (time - start > limit) return done();
  }
}

/// A place for a loop that its caller has opened to helpers. It lives for ever: a helper that comes
/// too late finds the loop's end, or another loop.
struct alignas(kCacheLine) OpenLoop {
  // The number of the loop, which claims bear, and its parts, 0 if it is closed: in one word, so
  // that both are of the same loop.
  std::atomic<uint64_t> announced{0};
  PoolLoop loop;
  unsigned modes = 0;
  alignas(kCacheLine) std::atomic<uint32_t> pending{0};  // parts that have not ended
  std::atomic<uint32_t> caller_sleeps{0};
  std::atomic<uint32_t> last{0};                       // the helper that ended last
  alignas(kCacheLine) std::atomic<bool> taken{false};  // by a caller, who alone has `number`
  uint64_t number = 0;
  // The first part is the caller's without a claim.
  alignas(kCacheLine) std::array<std::atomic<uint64_t>, kMaxThreads> claims{};

  /// At most one thread gets a part. Who comes too late gets none: when a loop has ended, each of
  /// its parts bears its number or a higher one.
  bool claim(uint32_t part, uint64_t loop_number) {
    uint64_t before = claims[part].load(std::memory_order_relaxed);
    return before < loop_number &&
           claims[part].compare_exchange_strong(before, loop_number, std::memory_order_relaxed);
  }

  void end_part(uint32_t helper) {
    last.store(helper, std::memory_order_relaxed);
    if (pending.fetch_sub(1) == 1 && caller_sleeps.load() != 0) wake(pending);
  }
};

/// What callers know of one helper.
struct alignas(kCacheLine) Helper {
  std::atomic<uint32_t> sleeps{0};
  std::atomic<int64_t> woken{0}, rests_until{0}, rest{0};

  [[nodiscard]] bool rests() const {
    const int64_t until = rests_until.load(std::memory_order_relaxed);
    return until != 0 && now_ns() < until;
  }

  void send_to_rest() {
    const int64_t time = now_ns(), before = rest.load(std::memory_order_relaxed);
    const bool soon = time - rests_until.load(std::memory_order_relaxed) < 5 * before;
    const int64_t next = soon ? std::min(2 * before, kLongestRest) : kFirstRest;
    rest.store(next, std::memory_order_relaxed);
    rests_until.store(time + next, std::memory_order_relaxed);
  }

  void wake_up() {
    if (sleeps.load() == 0 || rests()) return;
    const int64_t time = now_ns();
    if (time - woken.load(std::memory_order_relaxed) < kBetweenWakes) return;
    if (sleeps.exchange(0) == 0) return;
    woken.store(time, std::memory_order_relaxed);
    wake(sleeps);
  }
};

class Pool {
 public:
  void run(const PoolLoop& loop);

 private:
  OpenLoop* take_place();
  void open(OpenLoop& place, const PoolLoop& loop);
  void wait_for_helpers(OpenLoop& place, int64_t own_time);
  bool help(OpenLoop& place, uint32_t self);
  bool help_anyone(uint32_t self);
  [[noreturn]] void live(uint32_t self);
  void start_helpers(uint32_t count);

  std::array<OpenLoop, kMaxLoops> loops_;
  std::array<Helper, kMaxThreads> helpers_;               // the first one is no helper but callers
  alignas(kCacheLine) std::atomic<uint32_t> bell_{0};     // rises with every loop that opens
  alignas(kCacheLine) std::atomic<uint32_t> started_{0};  // helpers 1 to this one live
  std::mutex starting_;
};

/// Null if many threads run loops.
OpenLoop* Pool::take_place() {
  for (OpenLoop& place : loops_) {
    if (!place.taken.load(std::memory_order_relaxed) && !place.taken.exchange(true)) return &place;
  }
  return nullptr;
}

void Pool::run(const PoolLoop& loop) {
  const auto parts = static_cast<uint32_t>(loop.parts);
  OpenLoop* const place = take_place();
  if (place == nullptr) {
    for (int64_t part = 0; part < loop.parts; ++part) loop.call(loop.context, part);
    return;
  }
  start_helpers(parts - 1);
  const int64_t start = now_ns();
  open(*place, loop);
  uint32_t done = 0;
  for (uint32_t part = 0; part < parts; ++part) {
    if (part > 0 && !place->claim(part, place->number)) continue;
    loop.call(loop.context, part);
    ++done;
  }
  if (place->pending.fetch_sub(done) != done) wait_for_helpers(*place, now_ns() - start);
  place->announced.store(place->number << kPartsBits, std::memory_order_relaxed);
  place->taken.store(false, std::memory_order_release);
}

void Pool::open(OpenLoop& place, const PoolLoop& loop) {
  const auto parts = static_cast<uint32_t>(loop.parts);
  place.loop = loop;
  place.modes = floating_point_modes();
  ++place.number;
  place.pending.store(parts, std::memory_order_relaxed);
  place.announced.store(place.number << kPartsBits | parts, std::memory_order_release);
  // Before anyone's sleep is looked at: a helper says that it sleeps, and then listens once more.
  bell_.fetch_add(1);
  const uint32_t there = std::min(parts - 1, started_.load(std::memory_order_relaxed));
  for (uint32_t i = 1; i <= there; ++i) helpers_[i].wake_up();
}

void Pool::wait_for_helpers(OpenLoop& place, int64_t own_time) {
  const int64_t start = now_ns();
  const auto done = [&] { return place.pending.load(std::memory_order_acquire) == 0; };
  // Helpers began before the caller's last part ended, so they need about as long as that at most,
  // if they run. Meanwhile the core is worth keeping: who sleeps gives the rest of his turn away.
  const int64_t limit = std::clamp(own_time, kShortestWatch, kWatchForParts);
  if (!watch<Manners::kKeep>(limit, done)) {
    place.caller_sleeps.store(1);
    while (const uint32_t left = place.pending.load()) sleep_while(place.pending, left);
    place.caller_sleeps.store(0, std::memory_order_relaxed);
  }
  const int64_t waited = now_ns() - start;
  if (waited > kStall && waited > 2 * own_time) {
    helpers_[place.last.load(std::memory_order_relaxed)].send_to_rest();
  }
}

/// Does parts of the loop in `place` until none is free, its own first: what it did in the loop
/// before is often in its core's cache. False if there was none.
bool Pool::help(OpenLoop& place, uint32_t self) {
  const uint64_t announced = place.announced.load(std::memory_order_acquire);
  const uint64_t number = announced >> kPartsBits;
  const auto parts = static_cast<uint32_t>(announced & ((1U << kPartsBits) - 1));
  if (self >= parts) return false;  // no more threads than parts
  bool helped = false;
  for (uint32_t i = 0; i + 1 < parts; ++i) {
    const uint32_t part = 1 + (self - 1 + i) % (parts - 1);
    if (!place.claim(part, number)) continue;
    // The loop goes on until this part has ended, so that what `place` says is of this loop.
    set_floating_point_modes(place.modes);
    place.loop.call(place.loop.context, part);
    place.end_part(self);
    helped = true;
  }
  return helped;
}

bool Pool::help_anyone(uint32_t self) {
  bool helped = false;
  for (OpenLoop& place : loops_) {
    helped |= help(place, self);
  }
  return helped;
}

void Pool::live(uint32_t self) {
  in_loop = true;
  Helper& me = helpers_[self];
  for (;;) {
    const uint32_t heard = bell_.load();
    if (!me.rests()) {
      if (help_anyone(self)) continue;
      const auto rang = [&] { return bell_.load(std::memory_order_relaxed) != heard; };
      const int64_t limit = busy(now_ns()) ? kBusyWatch : kWatchForWork;
      if (watch<Manners::kYield>(limit, rang)) continue;
    }
    me.sleeps.store(1);
    while (bell_.load() == heard && me.sleeps.load() != 0) sleep_while(me.sleeps, 1);
    me.sleeps.store(0);
  }
}

void Pool::start_helpers(uint32_t count) {
  if (started_.load(std::memory_order_acquire) >= count) return;
  const std::lock_guard lock(starting_);
  sigset_t all, before;  // signals are for the threads that wait for them
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    for (uint32_t self = started_.load() + 1; self <= count; ++self) {
      std::thread([this, self] { live(self); }).detach();
      started_.store(self, std::memory_order_release);
    }
  } catch (const std::system_error&) {
    // The system gives no more threads: those that there are do the parts.
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

void run_in_pool(const PoolLoop& loop) {
  EVO_CHECK(loop.parts >= 1 && loop.parts <= kMaxThreads && !in_loop);
  // Never destroyed: helpers sleep in it when the process ends.
  static auto* const pool = new Pool;
  in_loop = true;
  pool->run(loop);
  in_loop = false;
}

bool in_pool_loop() {
  return in_loop;
}

}  // namespace evo
