#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/error.h"

namespace evo {
namespace {

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

TEST_P(Parallel, AsManyThreadsAsRanges) {
  std::mutex mutex;
  std::set<std::thread::id> seen;
  parallel_for(1000, 1, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(static_cast<int>(seen.size()), GetParam());
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
      for (int64_t i = begin; i < end; ++i) values[static_cast<size_t>(i)] += i;
    });
    parallel_items(1000, [&](int64_t i) { values[static_cast<size_t>(999 - i)] += i; });
  }
  EXPECT_EQ(values, std::vector<int64_t>(1000, 20 * 999));
}

}  // namespace
}  // namespace evo
