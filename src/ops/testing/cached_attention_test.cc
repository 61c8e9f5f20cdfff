#include "ops/cached_attention.h"

#include <limits>
#include <string>
#include <utility>

#include "base/threads/parallel.h"
#include "ops/reference/attention_formula.h"
#include "ops/testing/testing.h"

namespace evo::ops {
namespace {

using testing::expect_close;
using testing::for_each_implementation;
using testing::kNaN;
using testing::random_values;

/// Keys and values [length, G e] of one sequence.
struct Sequence {
  Sequence(const HeadLayout& layout, int64_t tokens, uint64_t seed)
      : length(tokens),
        keys(random_values(static_cast<size_t>(tokens * layout.kv_cols()), seed)),
        values(random_values(static_cast<size_t>(tokens * layout.kv_cols()), seed + 1)) {}

  int64_t length;
  std::vector<float> keys, values;
};

/// A sequence in blocks that lie anywhere in memory and hold NaN wherever nothing was written.
class Blocks {
 public:
  Blocks(const HeadLayout& layout, const Sequence& sequence, int64_t offset) : offset_(offset) {
    const tensor::Tensor rows = tensor::Tensor::empty({sequence.length, layout.row_cols()});
    for (int64_t r = 0; r < sequence.length; ++r) {
      const int64_t first = r * layout.kv_cols();
      float* key = std::fill_n(rows.row(r), layout.q_cols(), kNaN);
      float* value = std::copy_n(sequence.keys.data() + first, layout.kv_cols(), key);
      std::copy_n(sequence.values.data() + first, layout.kv_cols(), value);
    }
    for (int64_t token = 0; token < sequence.length; token += kCacheBlock) {
      storage_.push_back(
          tensor::Tensor::empty({offset + cache_block_floats(layout) + kCachePadding}));
      std::ranges::fill(storage_.back().values(), kNaN);
      blocks_.push_back(storage_.back().f32());
    }
    length_ = sequence.length;
    // In two parts, as caches grow.
    const int64_t half = length_ / 2;
    write_keys(rows, layout, 0, half, view(), 0);
    write_keys(rows, layout, half, length_, view(), half);
  }

  [[nodiscard]] CachedKeys view() const { return {blocks_, offset_, length_}; }

 private:
  int64_t offset_, length_ = 0;
  std::vector<tensor::Tensor> storage_;
  std::vector<float*> blocks_;
};

/// One call: rows of several sequences.
struct CachedProblem {
  explicit CachedProblem(const HeadLayout& heads) : layout(heads) {}

  CachedProblem& with_sequence(int64_t length) {
    contexts.emplace_back(layout, length, 100 + 2 * contexts.size());
    return *this;
  }
  /// Rows of the latest sequence that see contexts of length `first_end`, `first_end` + 1 ..
  CachedProblem& with_mature_rows(int32_t first_end, int32_t count) {
    for (int32_t i = 0; i < count; ++i) add_row({0, first_end + i, 0, 0});
    return *this;
  }
  /// The same, but they see only the last `window` tokens.
  CachedProblem& with_windows(int32_t first_end, int32_t count, int32_t window) {
    for (int32_t end = first_end; end < first_end + count; ++end)
      add_row({std::max(0, end - window), end, 0, 0});
    return *this;
  }
  /// Rows of the latest sequence that see the same context and each other.
  CachedProblem& with_block(int32_t context, int32_t count) {
    const auto begin = static_cast<int32_t>(ranges.size());
    for (int32_t i = 0; i < count; ++i) add_row({0, context, begin, begin + count});
    return *this;
  }
  void add_row(const KeyRange& range) {
    ranges.push_back(range);
    sequences.push_back(static_cast<int32_t>(contexts.size()) - 1);
    const std::vector<float> row =
        random_values(static_cast<size_t>(layout.row_cols()), 1000 + ranges.size());
    qkv.insert(qkv.end(), row.begin(), row.end());
  }

  [[nodiscard]] int64_t rows() const { return std::ssize(ranges); }
  [[nodiscard]] int64_t longest() const {
    int64_t keys = 0;
    for (const KeyRange& range : ranges) {
      const int32_t context = range.context_end - range.context_begin;
      keys = std::max<int64_t>(keys, context + range.self_end - range.self_begin);
    }
    return keys;
  }

  /// `offset`: of the keys in a block.
  std::vector<float> run(int64_t offset = 0) {
    std::vector<Blocks> blocks;
    std::vector<CachedKeys> views;
    for (const Sequence& sequence : contexts) blocks.emplace_back(layout, sequence, offset);
    for (const Blocks& sequence : blocks) views.push_back(sequence.view());
    const tensor::Tensor input = tensor::Tensor::view(qkv.data(), {rows(), layout.row_cols()});
    const tensor::Tape tape(tensor::Tape::Mode::kInference);
    const tensor::Tensor out = cached_attention(tape, input, layout, ranges, sequences, views);
    std::vector<float> result(out.values().begin(), out.values().end());
    std::ranges::fill(out.values(), kNaN);  // the next call gets this memory
    return result;
  }

  /// In double, sequence by sequence.
  [[nodiscard]] std::vector<double> reference() const {
    const std::vector<double> wide(qkv.begin(), qkv.end());
    std::vector<double> out(static_cast<size_t>(rows() * layout.q_cols()));
    for (int32_t s = 0; s < std::ssize(contexts); ++s) {
      const Sequence& context = contexts[s];
      const std::vector<double> keys(context.keys.begin(), context.keys.end());
      const std::vector<double> values(context.values.begin(), context.values.end());
      std::vector<KeyRange> visible = ranges;
      for (int32_t r = 0; r < rows(); ++r) {
        if (sequences[r] != s) visible[r] = {0, 0, 0, 1};
      }
      const ReferenceAttention<double> plain{layout, visible, wide.data(), keys.data(),
                                             values.data()};
      const std::vector<double> all = plain.forward();
      for (int64_t i = 0; i < std::ssize(all); ++i) {
        const auto row = static_cast<size_t>(i / layout.q_cols());
        if (sequences[row] == s) out[i] = all[i];
      }
    }
    return out;
  }

  HeadLayout layout;
  std::vector<Sequence> contexts;
  std::vector<KeyRange> ranges;
  std::vector<int32_t> sequences;
  std::vector<float> qkv;
};

/// Rounding errors of f32 (2^-24 each) that add up like a random walk: a score is a sum of
/// head_size products of standard normal numbers and its absolute error is the relative error of a
/// weight (scores reach about 5, twice because of the normalisation); the weighted sum over keys
/// adds its own. Values reach about 5.
double tolerance(const CachedProblem& problem) {
  const double size = problem.layout.head_size, keys = static_cast<double>(problem.longest());
  return 5 * std::ldexp(1.0, -24) * (2 * 5 * std::sqrt(size) + std::sqrt(keys) + 4);
}

void expect_matches_reference(CachedProblem& problem) {
  const std::vector<double> expected = problem.reference();
  for_each_implementation([&] { expect_close(problem.run(), expected, tolerance(problem), 0); });
}

TEST(CachedAttention, MatchesReferenceForHeadSizesAndGroups) {
  for (const int size : {1, 2, 6, 14, 16, 18, 30, 32, 34, 48, 64, 66, 80, 128, 130}) {
    for (const int group : {1, 2, 4}) {
      SCOPED_TRACE(std::to_string(size) + " x " + std::to_string(group));
      CachedProblem problem({2 * group, 2, size});
      problem.with_sequence(75).with_mature_rows(70, 5).with_block(75, 3);
      expect_matches_reference(problem);
    }
  }
}

TEST(CachedAttention, MatchesReferenceWithOtherScores) {
  for (const int size : {6, 16, 34}) {
    for (const float cap : {0.0f, 2.0f}) {
      SCOPED_TRACE(fmt::format("{}, cap {}", size, cap));
      CachedProblem problem({4, 2, size, 0.25f, cap});
      problem.with_sequence(75).with_mature_rows(70, 5).with_block(75, 3);
      expect_matches_reference(problem);
    }
  }
}

TEST(CachedAttention, MatchesReferenceForTheLargestHeads) {
  CachedProblem problem({3, 1, 1024});
  problem.with_sequence(66).with_mature_rows(62, 5).with_block(66, 5);
  expect_matches_reference(problem);
}

TEST(CachedAttention, MatchesReferenceForLengthsAroundBlocks) {
  for (const int length : {1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200}) {
    for (const int rows : {1, 2, 3, 4, 7, 40}) {
      if (rows > length) continue;
      SCOPED_TRACE(std::to_string(length) + ", rows " + std::to_string(rows));
      CachedProblem problem({2, 2, 8});
      problem.with_sequence(length).with_mature_rows(length - rows + 1, rows);
      expect_matches_reference(problem);
    }
  }
}

TEST(CachedAttention, MatchesReferenceForSelfRanges) {
  for (const int length : {1, 3, 15, 16, 17, 63, 64, 65, 130}) {
    for (const int context : {0, 9, 64}) {
      SCOPED_TRACE(std::to_string(length) + ", context " + std::to_string(context));
      CachedProblem problem({2, 1, 12});
      problem.with_sequence(64).with_block(context, length).with_block(context, 2);
      // Neighbours that see overlapping parts of the pass.
      problem.add_row({0, context, 0, length});
      problem.add_row({0, context, 0, length + 2});
      problem.add_row({0, context, length, length + 2});
      expect_matches_reference(problem);
    }
  }
}

CachedProblem several_sequences(const HeadLayout& layout) {
  CachedProblem problem(layout);
  problem.with_sequence(130).with_mature_rows(20, 50);
  problem.with_sequence(64).with_mature_rows(63, 2);
  problem.with_sequence(7).with_mature_rows(7, 1).with_block(7, 20);
  problem.with_sequence(200).with_block(197, 3).with_mature_rows(190, 9).with_block(200, 6);
  // A block whose rows have windows of their own, two of which see nothing of the context.
  problem.with_windows(131, 6, 70).with_windows(195, 6, 70).with_block(130, 5);
  for (int32_t i = 0; i < 5; ++i) {
    KeyRange& range = problem.ranges[problem.ranges.size() - static_cast<size_t>(i) - 1];
    range.context_begin = std::min(range.context_end, 127 + i);
  }
  return problem;
}

TEST(CachedAttention, MatchesReferenceForSeveralSequences) {
  CachedProblem problem = several_sequences({4, 2, 20});
  expect_matches_reference(problem);
}

TEST(CachedAttention, MatchesReferenceForWindowsAroundBlocks) {
  for (const int window : {1, 2, 3, 16, 17, 63, 64, 65, 128, 130, 500}) {
    for (const HeadLayout& layout : {HeadLayout{2, 2, 8}, {4, 1, 18}}) {
      SCOPED_TRACE(std::to_string(window));
      CachedProblem problem(layout);
      problem.with_sequence(200).with_windows(1, 3, window).with_windows(60, 140, window);
      expect_matches_reference(problem);
    }
  }
}

TEST(CachedAttention, LargeScoresNeitherOverflowNorLoseTheirMaximum) {
  CachedProblem problem({1, 1, 16});
  problem.with_sequence(150).with_mature_rows(140, 10).with_block(150, 5);
  for (float& x : problem.qkv) x *= 30;
  for (float& x : problem.contexts[0].keys) x *= 30;  // scores of a few thousand
  const std::vector<double> expected = problem.reference();
  // A score of 5000 is known to 5000 * 2^-24 * 4, so is the logarithm of a weight; values to 130.
  const double bound = 130 * 5000 * std::ldexp(1.0, -22);
  for_each_implementation([&] { expect_close(problem.run(), expected, bound, 0); });
}

TEST(CachedAttention, AgreesWithTheAttentionOfTraining) {
  const HeadLayout layout{4, 2, 24};
  CachedProblem problem(layout);
  problem.with_sequence(150).with_mature_rows(120, 31).with_block(150, 7);
  const Sequence& context = problem.contexts[0];
  const KeyValueView view{context.keys.data(), context.values.data(), layout.kv_cols()};
  const tensor::Tensor qkv =
      tensor::Tensor::view(problem.qkv.data(), {problem.rows(), layout.row_cols()});
  for_each_implementation([&] {
    tensor::Tape tape(tensor::Tape::Mode::kInference);
    const tensor::Tensor expected = attention(tape, qkv, layout, problem.ranges, &view);
    // Either may be off by the tolerance.
    expect_close(problem.run(), expected.values(), 2 * tolerance(problem), 0);
  });
}

// ------------------------------------------------------------------------------- same bits

/// The result of one row in a call of its own, whose other rows only serve as keys.
std::vector<float> row_alone(const CachedProblem& problem, size_t row) {
  const KeyRange& range = problem.ranges[row];
  const int32_t self = range.self_end - range.self_begin;
  const auto cols = static_cast<size_t>(problem.layout.row_cols());
  CachedProblem alone(problem.layout);
  alone.contexts.push_back(problem.contexts[problem.sequences[row]]);
  alone.add_row({range.context_begin, range.context_end, 1, 1 + self});
  for (int32_t i = 1; i <= self; ++i) alone.add_row({0, 0, i, i + 1});
  std::copy_n(problem.qkv.data() + row * cols, cols, alone.qkv.data());
  std::copy_n(problem.qkv.data() + static_cast<size_t>(range.self_begin) * cols,
              static_cast<size_t>(self) * cols, alone.qkv.data() + cols);
  std::vector<float> out = alone.run();
  out.resize(problem.layout.q_cols());
  return out;
}

TEST(CachedAttention, RowHasTheSameBitsAlone) {
  for (const HeadLayout& layout : {HeadLayout{3, 3, 20}, {4, 1, 64}, {6, 2, 6}}) {
    CachedProblem problem = several_sequences(layout);
    for_each_implementation([&] {
      const std::vector<float> together = problem.run();
      for (size_t row = 0; row < problem.ranges.size(); ++row) {
        const auto cols = static_cast<size_t>(layout.q_cols());
        const float* begin = together.data() + row * cols;
        ASSERT_EQ(row_alone(problem, row), std::vector<float>(begin, begin + cols)) << row;
      }
    });
  }
}

TEST(CachedAttention, BitsDoNotDependOnWhereBlocksLie) {
  CachedProblem problem = several_sequences({4, 2, 20});
  const std::vector<float> expected = problem.run();
  for (const int64_t offset : {16, 1024}) {
    const tensor::Tensor gap = tensor::Tensor::empty({5000});  // moves what is allocated behind it
    EXPECT_EQ(problem.run(offset), expected);
  }
}

TEST(CachedAttention, BitsDoNotDependOnThreads) {
  // Enough work for threads, and less: one row.
  CachedProblem many({4, 2, 32});
  many.with_sequence(600).with_mature_rows(500, 100).with_block(600, 9);
  CachedProblem one({4, 2, 32});
  one.with_sequence(100).with_mature_rows(100, 1);
  for (CachedProblem* problem : {&many, &one}) {
    const int kept = threads();
    set_threads(1);
    const std::vector<float> expected = problem->run();
    for (const int count : {2, 3, 7}) {
      set_threads(count);
      EXPECT_EQ(problem->run(), expected) << count;
    }
    set_threads(kept);
  }
}

// ------------------------------------------------------------------------------------- NaN

bool sees_context(const CachedProblem& problem, size_t row, int32_t sequence, int64_t token) {
  const KeyRange& range = problem.ranges[row];
  return problem.sequences[row] == sequence && range.context_begin <= token &&
         token < range.context_end;
}

bool sees_row(const CachedProblem& problem, size_t row, int32_t other) {
  const KeyRange& range = problem.ranges[row];
  return range.self_begin <= other && other < range.self_end;
}

/// Rows that `sees` names are all NaN, the others what they were.
template <class Sees>
void expect_poisoned(const CachedProblem& problem, const std::vector<float>& clean,
                     const std::vector<float>& out, const Sees& sees) {
  const auto cols = static_cast<size_t>(problem.layout.q_cols());
  for (size_t i = 0; i < out.size(); ++i) {
    if (sees(i / cols)) {
      ASSERT_TRUE(std::isnan(out[i])) << "row " << i / cols;
    } else {
      ASSERT_EQ(out[i], clean[i]) << "row " << i / cols;
    }
  }
}

TEST(CachedAttention, NaNInTheCacheReachesExactlyTheRowsThatSeeIt) {
  const CachedProblem problem = several_sequences({2, 1, 8});
  const int64_t cols = problem.layout.kv_cols();
  for_each_implementation([&] {
    const std::vector<float> clean = CachedProblem(problem).run();
    for (const auto& [sequence, token] : {std::pair(0, 0),
                                          {0, 25},
                                          {0, 64},
                                          {1, 62},
                                          {1, 63},
                                          {2, 6},
                                          {3, 70},
                                          {3, 128},
                                          {3, 194},
                                          {3, 199}}) {
      for (const bool in_keys : {true, false}) {
        CachedProblem bad = problem;
        Sequence& context = bad.contexts[sequence];
        std::fill_n((in_keys ? context.keys : context.values).data() + token * cols, cols, kNaN);
        expect_poisoned(bad, clean, bad.run(),
                        [&](size_t row) { return sees_context(bad, row, sequence, token); });
      }
    }
  });
}

TEST(CachedAttention, NaNInAPassReachesExactlyTheRowsThatSeeIt) {
  const CachedProblem problem = several_sequences({2, 1, 8});
  const int64_t cols = problem.layout.row_cols();
  for_each_implementation([&] {
    const std::vector<float> clean = CachedProblem(problem).run();
    for (int32_t bad_row = 0; bad_row < problem.rows(); ++bad_row) {
      CachedProblem bad = problem;
      float* key = bad.qkv.data() + bad_row * cols + bad.layout.q_cols();
      std::fill_n(key, 2 * bad.layout.kv_cols(), kNaN);
      expect_poisoned(bad, clean, bad.run(),
                      [&](size_t row) { return sees_row(bad, row, bad_row); });
    }
  });
}

TEST(CachedAttention, NaNQueryStaysInItsHead) {
  CachedProblem problem = several_sequences({2, 1, 8});
  const std::vector<float> clean = problem.run();
  const int64_t row = 51;
  problem.qkv[row * problem.layout.row_cols() + 8] = kNaN;  // of head 1
  const std::vector<float> out = problem.run();
  for (int64_t i = 0; i < std::ssize(out); ++i) {
    const auto index = static_cast<size_t>(i);
    if (i / 8 == row * 2 + 1) {
      EXPECT_TRUE(std::isnan(out[index])) << i;
    } else {
      EXPECT_EQ(out[index], clean[index]) << i;
    }
  }
}

// ---------------------------------------------------------------------------------- limits

TEST(CachedAttention, NoRowsGiveNoRows) {
  CachedProblem problem({2, 1, 8});
  problem.with_sequence(3);
  EXPECT_TRUE(problem.run().empty());
}

TEST(CachedAttentionDeathTest, RejectsRowsWithoutKeysAndKeysThatAreNotThere) {
  const auto run_with = [](const KeyRange& range, int32_t sequence) {
    CachedProblem problem({1, 1, 8});
    problem.with_sequence(70);
    problem.add_row(range);
    problem.sequences[0] = sequence;
    problem.run();
  };
  EXPECT_DEATH(run_with({0, 0, 0, 0}, 0), "context_begin < context_end");
  EXPECT_DEATH(run_with({3, 3, 0, 0}, 0), "context_begin < context_end");
  EXPECT_DEATH(run_with({-1, 3, 0, 0}, 0), "0 <= context_begin");
  EXPECT_DEATH(run_with({4, 3, 0, 1}, 0), "context_begin <= context_end");
  EXPECT_DEATH(run_with({0, 71, 0, 0}, 0), "context_end <= context.length");
  EXPECT_DEATH(run_with({0, 70, 0, 2}, 0), "self_end <= rows");
  EXPECT_DEATH(run_with({0, 70, 0, 0}, 1), "sequence <");
}

TEST(CachedAttentionDeathTest, RejectsGradients) {
  std::vector<float> row(24, 0.0f);
  const tensor::Tape tape(tensor::Tape::Mode::kTraining);
  const KeyRange range{0, 0, 0, 1};
  const int32_t sequence = 0;
  const CachedKeys none;
  EXPECT_DEATH(cached_attention(tape, tensor::Tensor::view(row.data(), {1, 24}), {1, 1, 8},
                                std::span(&range, 1), std::span(&sequence, 1), std::span(&none, 1)),
               "recording");
}

}  // namespace
}  // namespace evo::ops
