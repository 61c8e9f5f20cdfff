#include "base/threads/parallel.h"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/denormals.h"
#include "base/error.h"
#include "base/random.h"

namespace evo {
namespace {

using namespace std::chrono_literals;

class Parallel : public ::testing::TestWithParam<int> {
 protected:
  Parallel() { set_threads(GetParam()); }
  ~Parallel() override { set_threads(before_); }

 private:
  int before_ = threads();
};

INSTANTIATE_TEST_SUITE_P(Threads, Parallel, ::testing::Values(1, 2, 3, 8));

TEST_P(Parallel, RangesCoverEachIndexOnce) {
  for (const int64_t grain : {0, 1, 7, 100}) {
    for (const int64_t count : {0, 1, 2, 3, 8, 9, 100, 1001}) {
      std::vector<int> visits(static_cast<size_t>(count));
      std::atomic<int64_t> ranges = 0;
      parallel_for(count, grain, [&](int64_t begin, int64_t end) {
        ASSERT_LT(begin, end);
        for (int64_t i = begin; i < end; ++i) ++visits.at(static_cast<size_t>(i));
        ++ranges;
      });
      EXPECT_EQ(visits, std::vector<int>(visits.size(), 1)) << count << " by " << grain;
      EXPECT_LE(ranges, GetParam());
      EXPECT_LE(ranges, std::max<int64_t>(count > 0, count / std::max<int64_t>(1, grain)));
    }
  }
}

TEST_P(Parallel, ItemsAreTakenOnce) {
  for (const int64_t count : {0, 1, 2, 9, 1000}) {
    std::vector<int> visits(static_cast<size_t>(count));
    parallel_items(count, [&](int64_t i) { ++visits.at(static_cast<size_t>(i)); });
    EXPECT_EQ(visits, std::vector<int>(visits.size(), 1));
  }
}

/// Loops of parts that take a while, until `count` threads have had one; false if they never come.
bool threads_take_part(size_t count) {
  std::mutex mutex;
  std::set<std::thread::id> seen;
  for (int loop = 0; loop < 2000 && seen.size() < count; ++loop) {
    parallel_for(1000, 1, [&](int64_t, int64_t) {
      std::this_thread::sleep_for(1ms);
      const std::lock_guard lock(mutex);
      seen.insert(std::this_thread::get_id());
    });
  }
  return seen.size() == count;
}

TEST_P(Parallel, HelpersTakePart) {
  EXPECT_TRUE(threads_take_part(static_cast<size_t>(GetParam())));
  std::this_thread::sleep_for(20ms);  // now they sleep
  EXPECT_TRUE(threads_take_part(static_cast<size_t>(GetParam())));
}

TEST_P(Parallel, NoMoreThreadsThanSet) {
  set_threads(8);
  EXPECT_TRUE(threads_take_part(8));
  set_threads(GetParam());
  for (int loop = 0; loop < 50; ++loop) {
    std::mutex mutex;
    std::set<std::thread::id> seen;
    const auto see = [&] {
      std::this_thread::sleep_for(20us);
      const std::lock_guard lock(mutex);
      seen.insert(std::this_thread::get_id());
    };
    parallel_for(1000, 1, [&](int64_t, int64_t) { see(); });
    parallel_items(40, [&](int64_t) { see(); });
    EXPECT_LE(static_cast<int>(seen.size()), GetParam());
  }
}

TEST_P(Parallel, LoopsInLoopsStayOnTheirThread) {
  std::vector<int> visits(20 * 30);
  parallel_items(20, [&](int64_t i) {
    const auto thread = std::this_thread::get_id();
    const auto visit = [&](int64_t j) {
      EXPECT_EQ(std::this_thread::get_id(), thread);
      ++visits.at(static_cast<size_t>(i * 30 + j));
    };
    parallel_for(15, 1, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) visit(j);
    });
    parallel_items(15, [&](int64_t j) { visit(15 + j); });
  });
  EXPECT_EQ(visits, std::vector<int>(visits.size(), 1));
}

TEST_P(Parallel, ExceptionsComeOut) {
  const auto throw_from = [](int64_t where) {
    return [where](int64_t i) {
      if (i == where) fail("item {}", i);
    };
  };
  for (const int64_t where : {0, 57, 99}) {
    const auto item = throw_from(where);
    EXPECT_THROW(parallel_items(100, item), Error);
    EXPECT_THROW(parallel_for(100, 1,
                              [&](int64_t begin, int64_t end) {
                                for (int64_t i = begin; i < end; ++i) item(i);
                              }),
                 Error);
  }
  EXPECT_NO_THROW(parallel_items(100, throw_from(100)));  // and the next loop is a fresh one
}

TEST_P(Parallel, ManyExceptionsAreOne) {
  EXPECT_THROW(parallel_items(100, [](int64_t i) { fail("item {}", i); }), Error);
  EXPECT_THROW(parallel_for(100, 1, [](int64_t begin, int64_t) { fail("from {}", begin); }), Error);
}

// Plain numbers that one loop writes and the next one reads elsewhere: for the thread sanitizer.
TEST_P(Parallel, LoopsFollowEachOther) {
  std::vector<int64_t> values(1000);
  for (int round = 0; round < 20; ++round) {
    parallel_for(1000, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) values[i] += i;
    });
    parallel_items(1000, [&](int64_t i) { values[999 - i] += i; });
  }
  EXPECT_EQ(values, std::vector<int64_t>(1000, 20 * 999));
}

TEST_P(Parallel, NoItemBeginsAfterAnException) {
  std::atomic<int> begun = 0;
  EXPECT_THROW(parallel_items(1000,
                              [&](int64_t) {
                                ++begun;
                                fail("an item");
                              }),
               Error);
  EXPECT_LE(begun, GetParam());
}

TEST_P(Parallel, SeveralThreadsRunLoops) {
  constexpr int kCallers = 20;  // more than the pool keeps places for
  std::vector<std::thread> callers;
  std::vector<int64_t> sums(kCallers);
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&sum = sums[caller]] {
      std::vector<int64_t> values(64);
      for (int round = 0; round < 200; ++round) {
        parallel_for(64, 1, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) values[i] += i;
        });
        parallel_items(64, [&](int64_t i) { values[i] += 1; });
      }
      for (const int64_t value : values) sum += value;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sums, std::vector<int64_t>(kCallers, 200 * (63 * 64 / 2 + 64)));
}

/// What the pool's threads see of each other when loops come at all distances: watching, about to
/// sleep, asleep. A wake-up that is lost never comes back: the test would not end.
TEST_P(Parallel, LoopsAtAnyDistance) {
  Random random(7);
  const auto caller = std::this_thread::get_id();
  int64_t total = 0, expected = 0;
  for (int64_t loop = 0; loop < 3000; ++loop) {
    std::atomic<int64_t> sum = 0;
    const auto late = std::chrono::microseconds(random.below(4) == 0 ? random.below(400) : 0);
    parallel_for(8, 1, [&](int64_t begin, int64_t end) {
      // The caller, done before the helpers, has to wait for them.
      if (std::this_thread::get_id() != caller) std::this_thread::sleep_for(late);
      sum += (end - begin) * loop;
    });
    total += sum;
    expected += 8 * loop;
    const auto gap = std::chrono::microseconds(random.below(300));
    if (random.below(2) == 0) std::this_thread::sleep_for(gap);
  }
  EXPECT_EQ(total, expected);
}

TEST_P(Parallel, ThreadsMayChangeBetweenLoops) {
  for (int round = 0; round < 300; ++round) {
    set_threads(1 + (round * 7) % 9);
    std::atomic<int64_t> sum = 0;
    parallel_for(100, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    parallel_items(100, [&](int64_t) { ++sum; });
    ASSERT_EQ(sum, 200);
  }
}

TEST_P(Parallel, HelpersComputeAsTheirCallerDoes) {
  const unsigned before = floating_point_modes();
  for (const bool flush : {true, false}) {
    if (flush) flush_denormals();
    const unsigned modes = floating_point_modes();
    std::atomic<int> others = 0;
    for (int loop = 0; loop < 20; ++loop) {
      parallel_for(1000, 1, [&](int64_t, int64_t) {
        std::this_thread::sleep_for(100us);
        if (floating_point_modes() != modes) ++others;
      });
    }
    EXPECT_EQ(others, 0);
    set_floating_point_modes(before);
  }
}

TEST(ParallelPool, LoopsEndWhileEveryHelperIsHeld) {
  const int before = threads();
  set_threads(3);
  std::atomic<bool> release = false;
  std::atomic<int> held = 0;
  std::thread holder([&] {
    parallel_items(3, [&](int64_t) {
      ++held;
      while (!release) std::this_thread::sleep_for(100us);
    });
  });
  // The holder's parts wait for us, so a loop that waited for a helper would never end.
  while (held == 0) std::this_thread::sleep_for(100us);
  for (int loop = 0; loop < 100; ++loop) {
    std::atomic<int64_t> sum = 0;
    parallel_for(100, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    EXPECT_EQ(sum, 100);
  }
  release = true;
  holder.join();
  set_threads(before);
}

TEST(ParallelPool, ACopyOfTheProcessWorksAlone) {
  const int before = threads();
  set_threads(4);
  EXPECT_TRUE(threads_take_part(4));
  const auto sum_of_loop = [] {
    std::atomic<int64_t> sum = 0;
    parallel_for(100, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    return sum.load();
  };
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    int64_t sum = 0;
    for (int loop = 0; loop < 100; ++loop) sum += sum_of_loop();
    _exit(sum == 10000 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(sum_of_loop(), 100);
  set_threads(before);
}

TEST(ParallelPoolDeathTest, ThreadsAreLimited) {
  EXPECT_DEATH(set_threads(0), "count");
  EXPECT_DEATH(set_threads(1025), "count");
}

}  // namespace
}  // namespace evo
