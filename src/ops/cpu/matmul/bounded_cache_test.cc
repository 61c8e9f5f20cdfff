#include "ops/cpu/matmul/bounded_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace evo::ops {
namespace {

TEST(BoundedCache, MakesOnceAndDropsWhatWasUsedLongestAgo) {
  BoundedCache<int, int> cache(2);
  int made = 0;
  const auto get = [&](int key) {
    return cache.get(key, [&] { return ++made, std::make_shared<const int>(10 * key); });
  };
  const auto first = get(1);
  EXPECT_EQ(*first, 10);
  EXPECT_EQ(get(1), first);
  get(2);
  get(1);  // now 2 is the older one
  get(3);
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_EQ(made, 3);
  EXPECT_EQ(get(1), first);
  EXPECT_EQ(made, 3);
  get(2);
  EXPECT_EQ(made, 4);
  EXPECT_EQ(*first, 10) << "a value in use outlives its place in the cache";
}

/// Four threads ask for 16 keys in orders of their own; returns how many values were made.
int values_made(BoundedCache<int, int>& cache) {
  std::atomic<int> made = 0, wrong = 0;
  const auto work = [&](int stride) {
    for (int i = 0; i < 20000; ++i) {
      const int key = i * stride % 16;
      const auto value = cache.get(key, [&] { return ++made, std::make_shared<const int>(key); });
      if (*value != key) ++wrong;
    }
  };
  std::vector<std::thread> threads;
  for (const int stride : {1, 3, 5, 7}) threads.emplace_back(work, stride);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  return made;
}

TEST(BoundedCache, ThreadsShareOneValue) {
  BoundedCache<int, int> cache(16);
  EXPECT_EQ(values_made(cache), 16);
}

TEST(BoundedCache, ThreadsMayDropEachOthersValues) {
  BoundedCache<int, int> cache(4);
  EXPECT_GT(values_made(cache), 16);
  EXPECT_EQ(cache.size(), 4u);
}

}  // namespace
}  // namespace evo::ops
