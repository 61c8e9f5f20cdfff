#include "ops/attention.h"

#include <limits>
#include <string>

#include "base/threads/parallel.h"
#include "ops/cpu/attention/attention_plan.h"
#include "ops/reference/attention_formula.h"
#include "ops/testing/testing.h"

namespace evo::ops {
namespace {

using testing::expect_close;
using testing::for_each_implementation;
using testing::kNaN;
using testing::random_values;

int32_t below(Random& random, int bound) {
  return static_cast<int32_t>(random.below(static_cast<uint64_t>(bound)));
}

/// `sequences` texts of n tokens, mature rows first, then evolving rows in blocks of random length
/// up to max_block; the first sequence is one block of full length.
std::vector<KeyRange> training_ranges(int sequences, int n, int max_block, uint64_t seed) {
  std::vector<KeyRange> ranges;
  for (int b = 0; b < sequences; ++b) {
    for (int i = 0; i < n; ++i) ranges.push_back({b * n, b * n + i + 1, 0, 0});
  }
  Random random(seed);
  for (int b = 0; b < sequences; ++b) {
    for (int start = 0; start < n;) {
      const int drawn = 1 + below(random, max_block);
      const int length = b == 0 ? n : std::min(n - start, drawn);
      const int first = (sequences + b) * n + start;
      for (int i = 0; i < length; ++i) {
        ranges.push_back({b * n, b * n + start, first, first + length});
      }
      start += length;
    }
  }
  return ranges;
}

/// Ranges of no particular form.
std::vector<KeyRange> any_ranges(int rows, uint64_t seed) {
  Random random(seed);
  std::vector<KeyRange> ranges;
  for (int r = 0; r < rows; ++r) {
    const int32_t context = r % 3 == 0 ? below(random, rows) : 20;
    const int32_t context_end = context + below(random, rows - context + 1);
    const int32_t self = below(random, rows);
    ranges.push_back({context, context_end, self, self + 1 + below(random, rows - self)});
  }
  return ranges;
}

/// A block of rows after `context` cached tokens.
std::vector<KeyRange> decoding_ranges(int rows, int context) {
  return std::vector<KeyRange>(rows, KeyRange{0, context, 0, rows});
}

/// Arrays of exactly the needed size, so that the address sanitizer sees reads beyond them.
struct AttentionProblem {
  AttentionProblem(const HeadLayout& heads, std::vector<KeyRange> visible, uint64_t seed)
      : layout(heads),
        ranges(std::move(visible)),
        qkv(random_values(ranges.size() * heads.row_cols(), seed)),
        dout(random_values(ranges.size() * heads.q_cols(), seed + 1)) {}

  [[nodiscard]] int64_t rows() const { return std::ssize(ranges); }

  std::vector<float> forward(const KeyValueView* context = nullptr) {
    tensor::Tape tape(tensor::Tape::Mode::kInference);
    const tensor::Tensor input = tensor::Tensor::view(qkv.data(), {rows(), layout.row_cols()});
    const tensor::Tensor out = attention(tape, input, layout, ranges, context);
    return {out.values().begin(), out.values().end()};
  }

  /// `before` is what the gradient of qkv holds already.
  std::vector<float> backward(float before = 0) {
    tensor::Tape tape(tensor::Tape::Mode::kTraining);
    std::vector<float> dqkv(qkv.size(), before);
    const tensor::Tensor input =
        tensor::Tensor::view(qkv.data(), {rows(), layout.row_cols()}, dqkv.data());
    const tensor::Tensor out = attention(tape, input, layout, ranges, nullptr);
    std::copy(dout.begin(), dout.end(), out.grad().f32());
    tape.backward();
    return dqkv;
  }

  HeadLayout layout;
  std::vector<KeyRange> ranges;
  std::vector<float> qkv, dout;
};

std::vector<double> to_double(const std::vector<float>& x) {
  return {x.begin(), x.end()};
}

/// Rounding errors of f32 (2^-24 each) that add up like a random walk: a score is a sum of
/// head_size products of standard normal numbers and its absolute error is the relative error of a
/// weight (scores reach about 5, twice because of the normalisation); the weighted sum over `keys`
/// adds its own. Values reach about 5.
double output_tolerance(int head_size, int64_t keys) {
  const double unit = std::ldexp(1.0, -24);
  return 5 * unit * (2 * 5 * std::sqrt(head_size) + std::sqrt(static_cast<double>(keys)) + 4);
}

/// A gradient is a product with dout on top of that, and sums over rows.
double gradient_tolerance(int head_size, int64_t rows) {
  return 4 * output_tolerance(head_size, rows);
}

void expect_matches_reference(AttentionProblem& problem) {
  const std::vector<double> qkv = to_double(problem.qkv);
  const std::vector<double> dout = to_double(problem.dout);
  const ReferenceAttention<double> reference{problem.layout, problem.ranges, qkv.data()};
  const int size = problem.layout.head_size;
  const std::vector<double> out = reference.forward();
  const std::vector<double> dqkv = reference.backward(dout.data());
  for_each_implementation([&] {
    expect_close(problem.forward(), out, output_tolerance(size, problem.rows()), 0);
    expect_close(problem.backward(), dqkv, gradient_tolerance(size, problem.rows()), 0);
  });
}

TEST(Attention, MatchesReferenceForHeadSizesAndGroups) {
  for (const int size : {1, 3, 8, 12, 16, 24, 64, 80, 128}) {
    SCOPED_TRACE(size);
    AttentionProblem alone({2, 2, size}, training_ranges(2, 21, 8, 1), 2);
    expect_matches_reference(alone);
    AttentionProblem grouped({6, 2, size}, training_ranges(1, 13, 5, 3), 4);
    expect_matches_reference(grouped);
  }
}

TEST(Attention, MatchesReferenceWithOtherScores) {
  for (const int size : {3, 16, 24}) {
    SCOPED_TRACE(size);
    for (const float cap : {0.0f, 2.0f}) {
      AttentionProblem problem({6, 2, size, 0.25f, cap}, training_ranges(2, 37, 8, 1), 2);
      expect_matches_reference(problem);
    }
  }
}

TEST(Attention, MatchesReferenceForLengthsAroundTilesAndWindows) {
  for (const int n : {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129}) {
    SCOPED_TRACE(n);
    AttentionProblem problem({2, 1, 8}, training_ranges(2, n, 32, static_cast<uint64_t>(n)), 5);
    expect_matches_reference(problem);
  }
}

TEST(Attention, MatchesReferenceForRangesOfNoParticularForm) {
  AttentionProblem problem({3, 1, 16}, any_ranges(150, 7), 8);
  expect_matches_reference(problem);
}

TEST(Attention, MatchesReferenceWithCachedContext) {
  for (const int rows : {1, 2, 7, 33}) {
    for (const int cached : {0, 1, 64, 201}) {
      SCOPED_TRACE(std::to_string(rows) + " rows, cache " + std::to_string(cached));
      AttentionProblem problem({4, 2, 20}, decoding_ranges(rows, cached), 9);
      const auto floats = static_cast<size_t>(cached * problem.layout.kv_cols());
      const std::vector<float> keys = random_values(floats, 10);
      const std::vector<float> values = random_values(floats, 11);
      const KeyValueView view{keys.data(), values.data(), problem.layout.kv_cols()};

      const auto qkv = to_double(problem.qkv);
      const auto wide_keys = to_double(keys);
      const auto wide_values = to_double(values);
      const ReferenceAttention<double> reference{problem.layout, problem.ranges, qkv.data(),
                                                 wide_keys.data(), wide_values.data()};
      const std::vector<double> expected = reference.forward();
      const double tolerance = output_tolerance(problem.layout.head_size, rows + cached);
      for_each_implementation(
          [&] { expect_close(problem.forward(&view), expected, tolerance, 0); });
    }
  }
}

TEST(Attention, LargeScoresNeitherOverflowNorLoseTheirMaximum) {
  for_each_implementation([] {
    AttentionProblem problem({1, 1, 16}, training_ranges(1, 100, 16, 1), 12);
    for (float& x : problem.qkv) x *= 30;  // scores of a few thousand: weights are 0 or 1
    const auto qkv = to_double(problem.qkv);
    const ReferenceAttention<double> reference{problem.layout, problem.ranges, qkv.data()};
    // A score of 5000 is known to 5000 * 2^-24 * 4, so is the logarithm of a weight; values to 130.
    expect_close(problem.forward(), reference.forward(), 130 * 5000 * std::ldexp(1.0, -22), 0);
  });
}

TEST(Attention, GradientsMatchFiniteDifferences) {
  AttentionProblem problem({4, 2, 5}, training_ranges(2, 4, 3, 13), 14);
  std::vector<double> qkv = to_double(problem.qkv);
  const ReferenceAttention<double> reference{problem.layout, problem.ranges, qkv.data()};
  const auto loss = [&] {
    const std::vector<double> out = reference.forward();
    double sum = 0;
    for (size_t i = 0; i < out.size(); ++i) sum += out[i] * problem.dout[i];
    return sum;
  };
  std::vector<double> slopes;
  for (double& x : qkv) slopes.push_back(testing::finite_difference(loss, x));
  for_each_implementation(
      [&] { expect_close(problem.backward(), slopes, gradient_tolerance(5, problem.rows()), 0); });
  expect_close(reference.backward(to_double(problem.dout).data()), slopes, 1e-8, 0);
}

TEST(Attention, CappedGradientsMatchFiniteDifferences) {
  AttentionProblem problem({4, 2, 5, 0.9f, 1.5f}, training_ranges(2, 4, 3, 13), 14);
  std::vector<double> qkv = to_double(problem.qkv);
  const ReferenceAttention<double> reference{problem.layout, problem.ranges, qkv.data()};
  const std::vector<double> dqkv = reference.backward(to_double(problem.dout).data());
  const auto loss = [&] {
    const std::vector<double> out = reference.forward();
    double sum = 0;
    for (size_t i = 0; i < out.size(); ++i) sum += out[i] * problem.dout[i];
    return sum;
  };
  std::vector<double> slopes;
  for (double& x : qkv) slopes.push_back(testing::finite_difference(loss, x));
  expect_close(dqkv, slopes, 1e-8, 0);
}

TEST(Attention, AddsToAnExistingGradient) {
  AttentionProblem problem({2, 1, 12}, training_ranges(2, 20, 6, 15), 16);
  std::vector<float> expected = problem.backward();
  for (float& x : expected) x += 3;
  // Sums that pass through values up to about 8 are rounded to 8 * 2^-24 once per key or row.
  expect_close(problem.backward(3), expected, 8 * std::ldexp(1.0, -24) * 40, 0);
}

/// The result of row `row` when its context lies in a cache, and its self rows, which only serve as
/// keys, behind it.
std::vector<float> row_alone(const AttentionProblem& problem, int64_t row) {
  const KeyRange& range = problem.ranges[row];
  const int64_t cols = problem.layout.row_cols();
  const int context = range.context_end - range.context_begin;
  const int self = range.self_end - range.self_begin;

  std::vector<KeyRange> ranges = {{0, context, 1, 1 + self}};
  for (int i = 1; i <= self; ++i) ranges.push_back({0, 0, i, i + 1});
  AttentionProblem alone(problem.layout, ranges, 0);
  std::copy_n(problem.qkv.data() + row * cols, cols, alone.qkv.data());
  std::copy_n(problem.qkv.data() + range.self_begin * cols, self * cols, alone.qkv.data() + cols);

  const std::vector<float> cache(problem.qkv.begin() + range.context_begin * cols,
                                 problem.qkv.begin() + range.context_end * cols);
  const float* keys = cache.data() + problem.layout.q_cols();
  const KeyValueView view{keys, keys + problem.layout.kv_cols(), cols};
  std::vector<float> out = alone.forward(&view);
  out.resize(problem.layout.q_cols());
  return out;
}

void expect_rows_the_same_alone(AttentionProblem problem) {
  const int64_t cols = problem.layout.q_cols();
  for_each_implementation([&] {
    const std::vector<float> together = problem.forward();
    for (int64_t row = 0; row < problem.rows(); row += 13) {
      const auto* begin = together.data() + row * cols;
      EXPECT_EQ(row_alone(problem, row), std::vector<float>(begin, begin + cols)) << row;
    }
  });
}

TEST(Attention, RowHasTheSameBitsAloneAndWithACache) {
  expect_rows_the_same_alone(AttentionProblem({6, 2, 20}, training_ranges(3, 90, 20, 17), 18));
  expect_rows_the_same_alone(AttentionProblem({2, 1, 8}, any_ranges(200, 30), 31));
}

TEST(Attention, BitsDoNotDependOnThreads) {
  AttentionProblem problem({4, 2, 16}, training_ranges(3, 70, 9, 19), 20);
  const int kept = threads();
  set_threads(1);
  const auto out = problem.forward();
  const auto dqkv = problem.backward();
  for (const int count : {2, 3, 7}) {
    set_threads(count);
    EXPECT_EQ(problem.forward(), out);
    EXPECT_EQ(problem.backward(), dqkv);
  }
  set_threads(kept);
}

/// Makes key and value of one row NaN.
void poison(AttentionProblem& problem, int64_t row) {
  const int64_t cols = problem.layout.row_cols();
  const auto begin = problem.qkv.begin() + row * cols + problem.layout.q_cols();
  std::fill_n(begin, 2 * problem.layout.kv_cols(), kNaN);
}

bool sees(const KeyRange& range, int64_t key) {
  return (key >= range.context_begin && key < range.context_end) ||
         (key >= range.self_begin && key < range.self_end);
}

TEST(Attention, NaNReachesExactlyTheRowsThatSeeIt) {
  for_each_implementation([] {
    const AttentionProblem clean({2, 1, 8}, training_ranges(2, 75, 11, 21), 22);
    const auto expected = AttentionProblem(clean).forward();
    const auto expected_dqkv = AttentionProblem(clean).backward();
    for (const int64_t bad : {0, 5, 64, 70, 74, 80, 151, 230, 299}) {
      AttentionProblem problem = clean;
      poison(problem, bad);
      const auto out = problem.forward();
      const auto dqkv = problem.backward();
      const int64_t cols = problem.layout.q_cols();
      for (int64_t row = 0; row < problem.rows(); ++row) {
        const bool seen = sees(problem.ranges[row], bad);
        for (int64_t i = 0; i < cols; ++i) {
          const float value = out[row * cols + i];
          const float slope = dqkv[row * problem.layout.row_cols() + i];
          if (seen) {
            ASSERT_TRUE(std::isnan(value) && std::isnan(slope)) << bad << " -> " << row;
          } else {
            ASSERT_EQ(value, expected[row * cols + i]) << bad << " -> " << row;
            ASSERT_EQ(slope, expected_dqkv[row * problem.layout.row_cols() + i]);
          }
        }
      }
    }
  });
}

TEST(Attention, NaNQueryStaysInItsRow) {
  AttentionProblem problem({2, 1, 8}, training_ranges(1, 40, 8, 23), 24);
  const auto expected = problem.forward();
  const int64_t bad = 21;
  problem.qkv[bad * problem.layout.row_cols()] = kNaN;  // of head 0
  const auto out = problem.forward();
  for (size_t i = 0; i < out.size(); ++i) {
    const bool hit = i / 8 == static_cast<size_t>(bad) * 2;
    EXPECT_EQ(std::isnan(out[i]), hit) << i;
    if (!hit) {
      EXPECT_EQ(out[i], expected[i]) << i;
    }
  }
}

TEST(Attention, NoRowsGiveNoRows) {
  AttentionProblem problem({2, 1, 8}, {}, 25);
  EXPECT_TRUE(problem.forward().empty());
  EXPECT_TRUE(problem.backward().empty());
}

TEST(AttentionDeathTest, RejectsRowsWithoutKeysAndGradientsThroughACache) {
  AttentionProblem blind({1, 1, 8}, {{0, 0, 0, 0}}, 26);
  EXPECT_DEATH(blind.forward(), "context_begin < context_end");
  AttentionProblem outside({1, 1, 8}, {{0, 2, 0, 0}}, 27);
  EXPECT_DEATH(outside.forward(), "context_end <= rows");

  AttentionProblem fine({1, 1, 8}, {{0, 0, 0, 1}}, 28);
  const KeyValueView view{fine.qkv.data(), fine.qkv.data(), 8};
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  const tensor::Tensor qkv = tensor::Tensor::view(fine.qkv.data(), {1, 24});
  EXPECT_DEATH(attention(tape, qkv, fine.layout, fine.ranges, &view), "recording");
}

/// Number of independent groups; checks that they hold every tile once and share no key.
int64_t check_groups(const std::vector<KeyRange>& ranges, int heads, int width) {
  const auto tiles = query_tiles(ranges, heads, width);
  const auto groups = independent_groups(ranges, heads, tiles);
  std::vector<int64_t> owner(ranges.size(), -1);
  size_t held = 0;
  for (int64_t g = 0; g < std::ssize(groups); ++g) {
    held += groups[g].size();
    for (const QueryTile& tile : groups[g]) {
      for (int lane = 0; lane < tile.count; ++lane) {
        const KeyRange& range = ranges[tile.query(lane) / heads];
        for (int64_t key = 0; key < std::ssize(ranges); ++key) {
          if (!sees(range, key)) continue;
          EXPECT_TRUE(owner[key] == -1 || owner[key] == g) << key;
          owner[key] = g;
        }
      }
    }
  }
  EXPECT_EQ(held, tiles.size());
  return std::ssize(groups);
}

TEST(AttentionPlan, GroupsShareNoKeyAndHoldEveryTileOnce) {
  // One per sequence, and the full-length block, which sees no context.
  EXPECT_EQ(check_groups(training_ranges(4, 50, 10, 29), 3, 32), 5);

  // Short ranges within pairs of clusters of ten keys.
  Random random(32);
  std::vector<KeyRange> ranges;
  for (int r = 0; r < 400; ++r) {
    const int32_t cluster = below(random, 40);
    const int32_t context = cluster * 10 + below(random, 8);
    const int32_t self = (cluster ^ 1) * 10 + below(random, 8);
    const int32_t self_length = r % 4 == 0 ? 1 + below(random, 2) : 0;
    ranges.push_back({context, context + 1 + below(random, 2), self, self + self_length});
  }
  const int64_t groups = check_groups(ranges, 1, 32);
  EXPECT_GE(groups, 20);
  EXPECT_LT(groups, 200);
}

}  // namespace
}  // namespace evo::ops
