#include "train/examples/blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "train/testing.h"

namespace evo::train {
namespace {

using testing::share_tolerance;

constexpr double kMinTime = 0.125;  // exact in float

TrainConfig with_blocks(std::vector<int64_t> lengths, double whole_share = 0) {
  TrainConfig config;
  config.block_lengths = std::move(lengths);
  config.whole_block_share = whole_share;
  return config;
}

/// Every row lies in exactly one block, blocks lie inside their sequence, times are in range.
void expect_sound(const BlockPlan& plan, int64_t sequences, int64_t length) {
  const auto rows = static_cast<size_t>(sequences * length);
  ASSERT_EQ(plan.begin.size(), rows);
  ASSERT_EQ(plan.end.size(), rows);
  ASSERT_EQ(plan.starts.size(), rows);
  ASSERT_EQ(plan.times.size(), rows);
  ASSERT_EQ(plan.uniform_time.size(), rows);
  for (size_t i = 0; i < rows; ++i) {
    const auto place = static_cast<int64_t>(i) % length;
    const bool first = plan.begin[i] == place;
    ASSERT_EQ(plan.starts[i], first ? 1 : 0) << i;
    ASSERT_TRUE(plan.begin[i] >= 0 && plan.begin[i] <= place && place < plan.end[i] &&
                plan.end[i] <= length)
        << i;
    ASSERT_TRUE(plan.times[i] >= kMinTime && plan.times[i] <= 1) << plan.times[i];
    if (first) {
      ASSERT_TRUE(place == 0 || plan.end[i - 1] == place) << i;
      continue;
    }
    ASSERT_EQ(plan.begin[i], plan.begin[i - 1]) << i;
    ASSERT_EQ(plan.end[i], plan.end[i - 1]) << i;
    ASSERT_EQ(plan.uniform_time[i], plan.uniform_time[i - 1]) << i;
    ASSERT_TRUE(plan.uniform_time[i] == 0 || plan.times[i] == plan.times[i - 1]) << i;
  }
}

/// Kolmogorov-Smirnov distance of `values` from the uniform distribution on [kMinTime, 1], times
/// the root of their number. Above 2.7 for 2 exp(-2 * 2.7^2) = 9e-7 of all uniform samples.
double uniform_distance(std::vector<double> values) {
  std::ranges::sort(values);
  const auto n = static_cast<double>(values.size());
  double largest = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double expected = (values[i] - kMinTime) / (1 - kMinTime);
    largest = std::max({largest, std::abs(expected - static_cast<double>(i) / n),
                        std::abs(expected - static_cast<double>(i + 1) / n)});
  }
  return largest * std::sqrt(n);
}

constexpr double kUniformLimit = 2.7;

TEST(SampleBlocks, PlansAreSound) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    const auto length = static_cast<int64_t>(2 + random.below(70));
    TrainConfig config = with_blocks({1, 2, 5, 8, 100}, 0.1);
    if (seed % 4 == 0) config.time_sampler = "uniform";
    expect_sound(sample_blocks(config, {5, length}, kMinTime, random), 5, length);
  }
}

TEST(SampleBlocks, IsAFunctionOfTheRandomNumbers) {
  const TrainConfig config = with_blocks({1, 4}, 0.1);
  const auto times = [&](uint64_t seed) {
    Random random(seed);
    return sample_blocks(config, {4, 32}, kMinTime, random).times;
  };
  EXPECT_EQ(times(1), times(1));
  EXPECT_NE(times(1), times(2));
}

TEST(SampleBlocks, LengthsAreEquallyProbableAndSomeSequencesAreWhole) {
  constexpr int64_t kSequences = 20000, kLength = 40;
  const std::vector<int64_t> lengths = {2, 3, 5};
  Random random(3);
  const BlockPlan plan =
      sample_blocks(with_blocks(lengths, 0.2), {kSequences, kLength}, kMinTime, random);
  std::vector<int64_t> of_length(6, 0);
  int64_t whole = 0;
  for (int64_t s = 0; s < kSequences; ++s) {
    // The middle row is in no cut block: those are at the ends.
    const auto middle = static_cast<size_t>(s * kLength + kLength / 2);
    const int64_t found = plan.end[middle] - plan.begin[middle];
    if (found == kLength) {
      ++whole;
    } else {
      ASSERT_LT(found, 6);
      ++of_length[found];
    }
  }
  EXPECT_NEAR(static_cast<double>(whole) / kSequences, 0.2, share_tolerance(0.2, kSequences));
  const auto rest = static_cast<double>(kSequences - whole);
  for (int64_t length : lengths) {
    EXPECT_NEAR(static_cast<double>(of_length[length]) / rest, 1.0 / 3,
                share_tolerance(1.0 / 3, rest));
  }
}

TEST(SampleBlocks, OffsetsAreUniform) {
  constexpr int64_t kSequences = 20000, kLength = 12;
  Random random(4);
  const BlockPlan plan = sample_blocks(with_blocks({4}), {kSequences, kLength}, kMinTime, random);
  std::vector<int64_t> of_first_length(5, 0);
  for (int64_t s = 0; s < kSequences; ++s) {
    const int32_t first_end = plan.end[s * kLength];
    ASSERT_TRUE(first_end >= 1 && first_end <= 4);
    ++of_first_length[first_end];
  }
  for (size_t length = 1; length <= 4; ++length) {
    EXPECT_NEAR(static_cast<double>(of_first_length[length]) / kSequences, 0.25,
                share_tolerance(0.25, kSequences));
  }
}

/// The ways to draw a block's times, told apart by the times alone. Blocks must be 64 rows long: a
/// staircase then spans at least 63 * 0.05 = 3.15 before it is clamped to [kMinTime, 1], so that it
/// sticks to a bound for many rows, which independent times do not.
enum class Kind { kFresh, kStaircase, kShared, kIndependent };

Kind kind_of(std::span<const float> times, bool uniform) {
  if (uniform) return Kind::kShared;
  const auto ones = std::ranges::count(times, 1.0f);
  if (ones == std::ssize(times)) return Kind::kFresh;
  // A staircase that never reaches 1 has at most (0.875 + 0.6 of jitter) / 0.05 = 30 rows above
  // kMinTime. An independent time is at kMinTime with probability 1/4, when it is scaled down; 30
  // of 64 rows are 4 deviations off, which happens in about 1e-4 of the blocks.
  const auto low = std::ranges::count(times, static_cast<float>(kMinTime));
  return ones == 0 && low < 30 ? Kind::kIndependent : Kind::kStaircase;
}

TEST(SampleBlocks, SharesOfTheMixture) {
  constexpr int64_t kBlocks = 20000, kLength = 64;
  Random random(5);
  const BlockPlan plan = sample_blocks(with_blocks({1}, 1), {kBlocks, kLength}, kMinTime, random);
  std::vector<int64_t> count(4, 0);
  std::vector<double> shared_times;
  for (int64_t b = 0; b < kBlocks; ++b) {
    const auto first = static_cast<size_t>(b * kLength);
    const std::span<const float> times = std::span(plan.times).subspan(first, kLength);
    const Kind kind = kind_of(times, plan.uniform_time[first] != 0);
    ++count[static_cast<size_t>(kind)];
    if (kind == Kind::kShared) shared_times.push_back(times[0]);
    // Left is more mature.
    ASSERT_TRUE(kind != Kind::kStaircase || times.front() <= times.back());
  }
  const auto share = [&](Kind kind) {
    return static_cast<double>(count[static_cast<size_t>(kind)]) / kBlocks;
  };
  EXPECT_NEAR(share(Kind::kShared), 0.20, share_tolerance(0.20, kBlocks));
  EXPECT_NEAR(share(Kind::kIndependent), 0.15, share_tolerance(0.15, kBlocks) + 1e-4);
  // Some staircases lie wholly above 1 and look fresh, so only the sum of these two is known.
  EXPECT_NEAR(share(Kind::kFresh) + share(Kind::kStaircase), 0.65,
              share_tolerance(0.65, kBlocks) + 1e-4);
  EXPECT_GT(share(Kind::kFresh), 0.35 - share_tolerance(0.35, kBlocks));
  EXPECT_LT(uniform_distance(shared_times), kUniformLimit);
}

TEST(SampleBlocks, ShareOfFreshBlocks) {
  // In a block of one row a staircase's only time is 1 if slope * |front| + 0.1 e >= 0.5 with slope
  // at most 1 and front at least -0.25: e is 2.5 deviations out, which 0.6 % of normals are.
  constexpr int64_t kBlocks = 50000;
  Random random(6);
  const BlockPlan plan = sample_blocks(with_blocks({1}), {kBlocks, 1}, kMinTime, random);
  const auto fresh = static_cast<double>(std::ranges::count(plan.times, 1.0f)) / kBlocks;
  const double sure = 0.35, most = 0.35 + 0.30 * 0.0063;
  EXPECT_GT(fresh, sure - share_tolerance(sure, kBlocks));
  EXPECT_LT(fresh, most + share_tolerance(most, kBlocks));
}

TEST(SampleBlocks, UniformSamplerGivesSharedTimesOnly) {
  TrainConfig config = with_blocks({4}, 0);
  config.time_sampler = "uniform";
  Random random(7);
  const BlockPlan plan = sample_blocks(config, {2000, 16}, kMinTime, random);
  EXPECT_EQ(std::ranges::count(plan.uniform_time, 1), 2000 * 16);
  std::vector<double> times;
  for (size_t i = 0; i < plan.times.size(); ++i) {
    if (plan.starts[i] != 0) times.push_back(plan.times[i]);
  }
  EXPECT_LT(uniform_distance(times), kUniformLimit);
}

TEST(ElboBlocks, HaveOneLengthAndOneTimeEach) {
  for (int64_t length : {8, 13, 16, 5}) {
    Random random(8);
    const BlockPlan plan = elbo_blocks(3, length, 8, kMinTime, random);
    expect_sound(plan, 3, length);
    EXPECT_EQ(std::ranges::count(plan.uniform_time, 1), 3 * length);
    for (size_t i = 0; i < plan.begin.size(); ++i) {
      EXPECT_EQ(plan.begin[i] % 8, 0);
      EXPECT_EQ(plan.end[i], std::min<int64_t>(plan.begin[i] + 8, length));
    }
  }
}

TEST(ElboBlocks, TimesAreStratifiedAndEachIsUniform) {
  constexpr int kPlans = 4000, kCount = 6;
  std::vector<double> first_block, fourth_block;
  for (int p = 0; p < kPlans; ++p) {
    Random random(9, static_cast<uint64_t>(p));
    const BlockPlan plan = elbo_blocks(2, 12, 4, kMinTime, random);
    std::vector<int> in_stratum(kCount, 0);
    for (size_t i = 0; i < plan.times.size(); ++i) {
      if (plan.starts[i] == 0) continue;
      const double fraction = (plan.times[i] - kMinTime) / (1 - kMinTime);
      ++in_stratum[std::min(kCount - 1.0, kCount * fraction)];
    }
    ASSERT_EQ(in_stratum, std::vector<int>(kCount, 1));
    first_block.push_back(plan.times[0]);
    fourth_block.push_back(plan.times[12]);
  }
  EXPECT_LT(uniform_distance(first_block), kUniformLimit);
  EXPECT_LT(uniform_distance(fourth_block), kUniformLimit);
}

TEST(Blocks, AnswersAreBlocksAndReachPastTheirEnd) {
  TrainConfig config;
  config.answer_block_share = 1;
  constexpr int64_t kSequences = 400, kLength = 24;
  // Prompt of 5, answer of 6, prompt of 9, answer of 4 that the sequence cuts.
  std::vector<uint8_t> learn;
  for (int64_t s = 0; s < kSequences; ++s) {
    for (int64_t r = 0; r < kLength; ++r) {
      learn.push_back((r >= 5 && r < 11) || r >= 20 ? 1 : 0);
    }
  }
  Random random(1, 2);
  const BlockPlan plan = sample_blocks(config, {kSequences, kLength, learn}, kMinTime, random);
  expect_sound(plan, kSequences, kLength);
  std::set<int32_t> ends;
  for (int64_t s = 0; s < kSequences; ++s) {
    const auto row = [&](int64_t r) { return static_cast<size_t>(s * kLength + r); };
    EXPECT_EQ(plan.begin[row(5)], 5);
    EXPECT_EQ(plan.begin[row(10)], 5);
    EXPECT_EQ(plan.begin[row(20)], 20);
    EXPECT_EQ(plan.end[row(20)], 24);
    ends.insert(plan.end[row(5)]);
  }
  EXPECT_EQ(ends, (std::set<int32_t>{11, 12, 13, 14, 15, 16}));  // 400 draws of 6: 6 (5/6)^400
}

TEST(Blocks, RipeningTokensAreRipeOrFresh) {
  TrainConfig config = with_blocks({8}, 1);
  config.time_sampler = "ripening";
  constexpr int64_t kSequences = 3000, kLength = 16;
  Random random(1, 3);
  const BlockPlan plan = sample_blocks(config, {kSequences, kLength}, kMinTime, random);
  expect_sound(plan, kSequences, kLength);
  // Of a block, any number of tokens is ripe equally often: uniform on 0 .. 16.
  std::vector<double> counts(kLength + 1, 0.0);
  for (int64_t s = 0; s < kSequences; ++s) {
    const auto begin = plan.times.begin() + s * kLength;
    const auto ripe = std::count(begin, begin + kLength, static_cast<float>(kMinTime));
    EXPECT_EQ(std::count(begin, begin + kLength, 1.0f), kLength - ripe);
    ++counts[ripe];
  }
  for (const double count : counts) {
    const double expected = kSequences / 17.0;
    EXPECT_NEAR(count, expected, 5 * std::sqrt(expected));
  }
}

}  // namespace
}  // namespace evo::train
