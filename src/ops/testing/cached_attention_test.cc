#include "ops/cached_attention.h"

#include <cstring>
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

constexpr CacheFormat kFormats[] = {CacheFormat::kF32, CacheFormat::kBF16, CacheFormat::kQ8};

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
  Blocks(const HeadLayout& layout, const Sequence& sequence, CacheFormat format, int64_t offset)
      : format_(format), offset_(offset) {
    const tensor::Tensor rows = tensor::Tensor::empty({sequence.length, layout.row_cols()});
    for (int64_t r = 0; r < sequence.length; ++r) {
      const int64_t first = r * layout.kv_cols();
      float* key = std::fill_n(rows.row(r), layout.q_cols(), kNaN);
      float* value = std::copy_n(sequence.keys.data() + first, layout.kv_cols(), key);
      std::copy_n(sequence.values.data() + first, layout.kv_cols(), value);
    }
    for (int64_t token = 0; token < sequence.length; token += kCacheBlock) {
      const int64_t bytes = offset + cache_block_bytes(layout, format) + kCachePadding;
      storage_.push_back(tensor::Tensor::empty({bytes / int64_t{sizeof(float)}}));
      blocks_.push_back(reinterpret_cast<std::byte*>(storage_.back().f32()));
      std::memset(blocks_.back(), 0xFF, bytes);  // a NaN in every format
    }
    length_ = sequence.length;
    // In two parts, as caches grow.
    const int64_t half = length_ / 2;
    write_keys(rows, layout, 0, half, view(), 0);
    write_keys(rows, layout, half, length_, view(), half);
  }

  [[nodiscard]] CachedKeys view() const { return {blocks_, offset_, length_, format_}; }

 private:
  CacheFormat format_;
  int64_t offset_, length_ = 0;
  std::vector<tensor::Tensor> storage_;
  std::vector<std::byte*> blocks_;
};

/// The numbers that are kept of a sequence.
Sequence rounded(const HeadLayout& layout, const Sequence& sequence, CacheFormat format) {
  Sequence kept = sequence;
  const Blocks blocks(layout, sequence, format, 0);
  for (int64_t token = 0; token < sequence.length; ++token) {
    for (int64_t head = 0; head < layout.kv_heads; ++head) {
      const int64_t first = token * layout.kv_cols() + head * layout.head_size;
      CachedToken(blocks.view(), layout, token, head)
          .read(kept.keys.data() + first, kept.values.data() + first);
    }
  }
  return kept;
}

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

  /// `offset`: of the keys in a block, in bytes.
  std::vector<float> run(int64_t offset = 0) {
    std::vector<Blocks> blocks;
    std::vector<CachedKeys> views;
    for (const Sequence& sequence : contexts) {
      blocks.emplace_back(layout, sequence, format, offset);
    }
    for (const Blocks& sequence : blocks) views.push_back(sequence.view());
    const tensor::Tensor input = tensor::Tensor::view(qkv.data(), {rows(), layout.row_cols()});
    const tensor::Tape tape(tensor::Tape::Mode::kInference);
    const tensor::Tensor out = cached_attention(tape, input, layout, ranges, sequences, views);
    std::vector<float> result(out.values().begin(), out.values().end());
    std::ranges::fill(out.values(), kNaN);  // the next call gets this memory
    return result;
  }

  /// In double, sequence by sequence, of numbers as `kept_in` a cache.
  [[nodiscard]] std::vector<double> reference(CacheFormat kept_in) const {
    const std::vector<double> wide(qkv.begin(), qkv.end());
    std::vector<double> out(static_cast<size_t>(rows() * layout.q_cols()));
    for (int32_t s = 0; s < std::ssize(contexts); ++s) {
      const Sequence context = rounded(layout, contexts[s], kept_in);
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
  CacheFormat format = CacheFormat::kF32;
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
  for (const CacheFormat format : kFormats) {
    SCOPED_TRACE(static_cast<int>(format));
    problem.format = format;
    const std::vector<double> expected = problem.reference(format);
    for_each_implementation([&] { expect_close(problem.run(), expected, tolerance(problem), 0); });
  }
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
  const std::vector<double> expected = problem.reference(CacheFormat::kF32);
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

// -------------------------------------------------------------------------------- formats

/// By how much a number may be off: half a step of bf16's 8 bits ...
double bf16_rounding(float x) {
  return std::abs(x) * 0x1p-8;
}

/// ... or of the 127 steps of a value in 8 bits, and the roundings of factor, scale and both
/// products, 2^-24 of at most 127 steps each.
double q8_rounding(std::span<const float> value) {
  float largest = 0;
  for (const float x : value) largest = std::max(largest, std::abs(x));
  return largest / 127 * (0.5 + 127 * 4 * 0x1p-24);
}

/// Bounds for all of a sequence's keys or values [tokens, G e].
std::vector<double> roundings(CacheFormat format, bool values, std::span<const float> numbers,
                              int head_size) {
  std::vector<double> bounds;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const size_t first = i - i % static_cast<size_t>(head_size);
    bounds.push_back(format == CacheFormat::kF32 ? 0
                     : format == CacheFormat::kQ8 && values
                         ? q8_rounding(numbers.subspan(first, head_size))
                         : bf16_rounding(numbers[i]));
  }
  return bounds;
}

TEST(CachedKeys, NumbersAreRoundedByNoMoreThanTheirFormatDoes) {
  for (const int size : {1, 6, 32, 33, 64, 80}) {
    const HeadLayout layout{4, 2, size};
    for (const float scale : {1e-6f, 1.0f, 3e4f}) {
      Sequence sequence(layout, 70, 5);
      for (float& x : sequence.keys) x *= scale;
      for (float& x : sequence.values) x *= scale;
      for (const CacheFormat format : kFormats) {
        SCOPED_TRACE(fmt::format("{} x {}, format {}", size, scale, static_cast<int>(format)));
        const Sequence kept = rounded(layout, sequence, format);
        for (const bool values : {false, true}) {
          const std::vector<float>& exact = values ? sequence.values : sequence.keys;
          const std::vector<float>& found = values ? kept.values : kept.keys;
          const std::vector<double> bounds = roundings(format, values, exact, size);
          for (size_t i = 0; i < bounds.size(); ++i) {
            const double off = std::abs(double{found[i]} - double{exact[i]});
            ASSERT_TRUE(off <= bounds[i]) << i << ": " << exact[i] << " became " << found[i];
          }
        }
      }
    }
  }
}

TEST(CachedKeys, RoundsToNearestEvenAndKeepsWhatIsNoNumber) {
  const HeadLayout layout{1, 1, 7};
  Sequence sequence(layout, 2, 5);
  const std::vector<float> halves = {127, 0.5f, 1.5f, -0.5f, -2.5f, 1.00390625f, 1.01171875f};
  std::ranges::copy(halves, sequence.keys.begin());
  sequence.values = sequence.keys;
  const auto kept = [&](CacheFormat format, auto numbers, int64_t token) {
    const Sequence all = rounded(layout, sequence, format);
    return std::vector<float>((all.*numbers).begin() + token * 7,
                              (all.*numbers).begin() + (token + 1) * 7);
  };
  // In bf16 a step above 1 is 2^-7: 1 + 2^-8 is half of one, 1 + 3 * 2^-8 one and a half.
  const std::vector<float> in_bf16 = {127, 0.5f, 1.5f, -0.5f, -2.5f, 1, 1.015625f};
  EXPECT_EQ(kept(CacheFormat::kBF16, &Sequence::keys, 0), in_bf16);
  EXPECT_EQ(kept(CacheFormat::kBF16, &Sequence::values, 0), in_bf16);
  EXPECT_EQ(kept(CacheFormat::kQ8, &Sequence::keys, 0), in_bf16);
  EXPECT_EQ(kept(CacheFormat::kQ8, &Sequence::values, 0),
            (std::vector<float>{127, 0, 2, 0, -2, 1, 1}));
  std::fill_n(sequence.values.begin() + 7, 7, 1e-40f);
  EXPECT_EQ(kept(CacheFormat::kQ8, &Sequence::values, 1), std::vector<float>(7, 0.0f));
  for (const float none : {kNaN, std::numeric_limits<float>::infinity()}) {
    sequence.values[9] = sequence.keys[9] = none;
    for (const float x : kept(CacheFormat::kQ8, &Sequence::values, 1)) EXPECT_TRUE(std::isnan(x));
    EXPECT_EQ(kept(CacheFormat::kQ8, &Sequence::values, 0)[0], 127);
    EXPECT_FALSE(std::isfinite(kept(CacheFormat::kBF16, &Sequence::keys, 1)[2]));
    EXPECT_FALSE(std::isfinite(kept(CacheFormat::kBF16, &Sequence::values, 1)[2]));
  }
}

/// How far rounded keys and values can move the result of a row's head from that of exact ones: a
/// score by `score` at most, hence a weight by a factor e^(2 score) after normalisation, and with
/// it the weighted mean of values by (e^(2 score) - 1) max |v|, besides the values' own rounding.
double rounding_bound(const CachedProblem& problem, size_t row, int head) {
  const HeadLayout& layout = problem.layout;
  const Sequence& context = problem.contexts[problem.sequences[row]];
  const std::vector<double> of_keys =
      roundings(problem.format, false, context.keys, layout.head_size);
  const std::vector<double> of_values =
      roundings(problem.format, true, context.values, layout.head_size);
  const float* query =
      problem.qkv.data() + static_cast<int64_t>(row) * layout.row_cols() + head * layout.head_size;
  const int64_t column = head / (layout.query_heads / layout.kv_heads) * layout.head_size;
  double score = 0, value = 0, largest = 0;
  const KeyRange& range = problem.ranges[row];
  for (int64_t t = range.context_begin; t < range.context_end; ++t) {
    double error = 0;
    for (int64_t i = 0; i < layout.head_size; ++i) {
      const int64_t at = t * layout.kv_cols() + column + i;
      error += std::abs(query[i]) * of_keys[at];
      value = std::max(value, of_values[at]);
      largest = std::max<double>(largest, std::abs(context.values[at]));
    }
    score = std::max(score, error * layout.scale());
  }
  return std::expm1(2 * score) * largest + value;
}

TEST(CachedAttention, RoundedKeysAndValuesMoveTheResultByNoMoreThanTheyCan) {
  for (const HeadLayout& layout : {HeadLayout{2, 1, 8}, {4, 2, 64}, {3, 1, 80}}) {
    CachedProblem problem(layout);
    problem.with_sequence(200).with_mature_rows(190, 9);
    const std::vector<double> exact = problem.reference(CacheFormat::kF32);
    for (const CacheFormat format : {CacheFormat::kBF16, CacheFormat::kQ8}) {
      problem.format = format;
      std::vector<double> bounds;  // of row and head
      for (size_t row = 0; row < problem.ranges.size(); ++row) {
        for (int head = 0; head < layout.query_heads; ++head) {
          bounds.push_back(rounding_bound(problem, row, head) + tolerance(problem));
        }
      }
      for_each_implementation([&] {
        const std::vector<float> out = problem.run();
        double moved = 0;
        for (int64_t i = 0; i < std::ssize(out); ++i) {
          const double difference = std::abs(out[i] - exact[i]);
          moved = std::max(moved, difference);
          ASSERT_TRUE(difference <= bounds[i / layout.head_size]) << i;
        }
        EXPECT_GT(moved, 1e-4);  // it was rounded
      });
    }
  }
}

// ------------------------------------------------------------------------------- same bits

/// The result of one row in a call of its own, whose other rows only serve as keys.
std::vector<float> row_alone(const CachedProblem& problem, size_t row) {
  const KeyRange& range = problem.ranges[row];
  const int32_t self = range.self_end - range.self_begin;
  const auto cols = static_cast<size_t>(problem.layout.row_cols());
  CachedProblem alone(problem.layout);
  alone.format = problem.format;
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
    for (const CacheFormat format : kFormats) {
      problem.format = format;
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
}

TEST(CachedAttention, BitsDoNotDependOnWhereBlocksLie) {
  CachedProblem problem = several_sequences({4, 2, 20});
  for (const CacheFormat format : kFormats) {
    problem.format = format;
    const std::vector<float> expected = problem.run();
    for (const int64_t offset : {64, 4096}) {
      const tensor::Tensor gap =
          tensor::Tensor::empty({5000});  // moves what is allocated behind it
      EXPECT_EQ(problem.run(offset), expected);
    }
  }
}

TEST(CachedAttention, BitsDoNotDependOnThreads) {
  // Enough work for threads, and less: one row.
  CachedProblem many({4, 2, 32});
  many.with_sequence(600).with_mature_rows(500, 100).with_block(600, 9);
  CachedProblem one({4, 2, 32});
  one.with_sequence(100).with_mature_rows(100, 1);
  for (CachedProblem* problem : {&many, &one}) {
    for (const CacheFormat format : kFormats) {
      problem->format = format;
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
  CachedProblem problem = several_sequences({2, 1, 8});
  const int64_t cols = problem.layout.kv_cols();
  const auto expect_reach = [&](int32_t sequence, int64_t token) {
    const std::vector<float> clean = CachedProblem(problem).run();
    for (const bool in_keys : {true, false}) {
      CachedProblem bad = problem;
      Sequence& context = bad.contexts[sequence];
      std::fill_n((in_keys ? context.keys : context.values).data() + token * cols, cols, kNaN);
      expect_poisoned(bad, clean, bad.run(),
                      [&](size_t row) { return sees_context(bad, row, sequence, token); });
    }
  };
  for (const CacheFormat format : kFormats) {
    problem.format = format;
    for_each_implementation([&] {
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
        expect_reach(sequence, token);
      }
    });
  }
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
