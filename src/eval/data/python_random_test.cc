// Expected values are CPython's own (`random.Random`, version 3.11).
#include "eval/data/python_random.h"

#include <gtest/gtest.h>

#include <string>

namespace evo::eval {
namespace {

using Indices = std::vector<size_t>;

TEST(PythonRandom, WordsOfSeveralSeeds) {
  PythonRandom random(1234);
  const std::vector<uint32_t> first = {random.next(), random.next(), random.next(), random.next()};
  EXPECT_EQ(first, (std::vector<uint32_t>{4150886329u, 3342196574u, 1892932127u, 501869158u}));
  EXPECT_EQ(PythonRandom(0).next(), 3626764237u);
  EXPECT_EQ(PythonRandom(4294967295u).next(), 2728839433u);
}

TEST(PythonRandom, StateIsRenewed) {
  PythonRandom random(1234);
  uint32_t last = 0;
  for (int i = 0; i < 10000; ++i) last = random.next();
  EXPECT_EQ(last, 2408502359u);
}

TEST(PythonRandom, Below) {
  PythonRandom random(1234);
  std::vector<uint32_t> drawn;
  for (const uint32_t bound : {1u, 2u, 3u, 64u, 1000u, 4294967295u}) {
    drawn.push_back(random.below(bound));
  }
  EXPECT_EQ(drawn, (std::vector<uint32_t>{0, 0, 0, 11, 932, 4048155970u}));
}

TEST(PythonRandom, SamplesOfLargePopulations) {
  PythonRandom random(1234);
  EXPECT_EQ(random.sample(1267, 6), (Indices{902, 239, 15, 185, 1192, 71}));
  EXPECT_EQ(random.sample(1267, 6), (Indices{171, 201, 726, 484, 35, 63}));
}

TEST(PythonRandom, SamplesOfSmallPopulations) {
  PythonRandom random(1234);
  EXPECT_EQ(random.sample(20, 6), (Indices{14, 3, 0, 2, 1, 10}));
  EXPECT_EQ(random.sample(21, 5), (Indices{2, 3, 11, 7, 0}));
  EXPECT_EQ(random.sample(22, 5), (Indices{0, 11, 20, 19, 15}));
  EXPECT_EQ(random.sample(3, 3), (Indices{2, 1, 0}));
}

// Of six, Python takes up to 85 from a pool. With this seed, the other way gives other ones.
TEST(PythonRandom, SamplesOnBothSidesOfThePool) {
  EXPECT_EQ(PythonRandom(5).sample(22, 6), (Indices{19, 8, 11, 16, 0, 14}));
  EXPECT_EQ(PythonRandom(5).sample(85, 6), (Indices{79, 32, 45, 67, 3, 59}));
  EXPECT_EQ(PythonRandom(5).sample(86, 6), (Indices{79, 32, 45, 83, 67, 3}));
}

TEST(PythonRandom, Shuffle) {
  PythonRandom random(42);
  std::vector<std::string> letters = {"a", "b", "c", "d"};
  random.shuffle(letters);
  EXPECT_EQ(letters, (std::vector<std::string>{"c", "b", "d", "a"}));
  letters = {"a", "b", "c", "d"};
  random.shuffle(letters);
  EXPECT_EQ(letters, (std::vector<std::string>{"d", "c", "a", "b"}));
  std::vector<int> numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  random.shuffle(numbers);
  EXPECT_EQ(numbers, (std::vector<int>{7, 2, 5, 6, 0, 3, 4, 9, 8, 1}));
}

}  // namespace
}  // namespace evo::eval
