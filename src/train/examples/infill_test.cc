#include "train/examples/infill.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <tuple>

#include "train/testing.h"

namespace evo::train {
namespace {

using testing::noisy_model;
using testing::share_tolerance;

constexpr int32_t kNoEnd = 9999;  // an end of text that the text does not hold

/// `sequences` texts, each of the tokens 0 .. n.
TrainingBatch counting_batch(int64_t sequences, int64_t length) {
  std::vector<int32_t> texts;
  for (int64_t s = 0; s < sequences; ++s) {
    for (int32_t i = 0; i <= length; ++i) texts.push_back(i);
  }
  return TrainingBatch::from_texts(texts, sequences);
}

BlockPlan plan_of(int64_t sequences, int64_t length, uint64_t seed) {
  Random random(seed, 3);
  return sample_blocks(TrainConfig(), {sequences, length}, 0.1, random);
}

std::vector<int32_t> counting_text(int64_t length) {
  std::vector<int32_t> text(static_cast<size_t>(length));
  std::iota(text.begin(), text.end(), 0);
  return text;
}

// --- One sequence, by hand

TEST(Rearrange, PutsTheSuffixBeforeTheMiddle) {
  TrainingBatch batch =
      TrainingBatch::from_texts(std::vector<int32_t>{10, 11, 12, 13, 14, 15, 16, 17, 18,  //
                                                     20, 21, 22, 23, 24, 25, 26, 27, 28},
                                2);
  for (int64_t s : {0, 1}) {
    batch.plan.append_block(0, 1);  // | 0 | 1 2 3 4 5 6 7 |
    batch.plan.append_block(1, 8);
    batch.plan.times.push_back(0.5f);
    for (int i = 1; i < 8; ++i) batch.plan.times.push_back(0.1f * static_cast<float>(i + s));
  }
  batch.plan.uniform_time.assign(16, 1);
  const BlockPlan before = batch.plan;

  // w_0 w_1 w_2, then the middle w_3 w_4, then w_5 w_6 w_7.
  rearrange(batch, 1, {3, 2, 4}, 99);
  EXPECT_EQ(batch.ids, (std::vector<int32_t>{10, 11, 12, 13, 14, 15, 16, 17,  //
                                             20, 21, 22, 25, 26, 22, 23, 24}));
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{11, 12, 13, 14, 15, 16, 17, 18,  //
                                                 21, 22, 23, 26, 27, 23, 24, 99}));
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7,  //
                                                   0, 1, 2, 9, 10, 2, 3, 4}));
  EXPECT_EQ(batch.plan.begin, (std::vector<int32_t>{0, 1, 1, 1, 1, 1, 1, 1,  //
                                                    0, 1, 1, 3, 3, 5, 5, 5}));
  EXPECT_EQ(batch.plan.end, (std::vector<int32_t>{1, 8, 8, 8, 8, 8, 8, 8,  //
                                                  1, 3, 3, 5, 5, 8, 8, 8}));
  EXPECT_EQ(batch.plan.starts, (std::vector<uint8_t>{1, 1, 0, 0, 0, 0, 0, 0,  //
                                                     1, 1, 0, 1, 0, 1, 0, 0}));
  EXPECT_EQ(batch.plan.times, before.times);
  EXPECT_EQ(batch.plan.uniform_time, before.uniform_time);

  // An evolving row stands where its target does, after the mature row of the same rank.
  const model::ForwardInput input = two_stream_input(batch, {{}, {}, batch.plan.times});
  for (size_t r = 0; r < 16; ++r) {
    EXPECT_EQ(input.positions[r], batch.positions[r]);
    EXPECT_EQ(input.positions[16 + r], batch.positions[r] + 1);
  }
  // The block of the middle sees prefix, suffix, the repeated token, and itself.
  const ops::KeyRange& middle = input.ranges[16 + 8 + 6];
  EXPECT_EQ(middle.context_begin, 8);
  EXPECT_EQ(middle.context_end, 8 + 6);
  EXPECT_EQ(middle.self_begin, 16 + 8 + 5);
  EXPECT_EQ(middle.self_end, 16 + 8 + 8);
}

TEST(Rearrange, ATextWithoutFlowHasNoPlanToCut) {
  TrainingBatch batch = counting_batch(1, 4);
  rearrange(batch, 0, {1, 1, 0}, 99);
  EXPECT_EQ(batch.ids, (std::vector<int32_t>{0, 2, 0, 1}));
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{1, 3, 1, 99}));
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{0, 2, 0, 1}));
  EXPECT_TRUE(batch.plan.times.empty());
}

// --- Many sequences, by what they must have in common

/// Rows [begin, end) of one part of a sequence, checked one by one.
struct Part {
  size_t begin, end;
};

/// The three parts of a rearranged sequence of tokens 0, 1, 2 ..: where an id is not the one after
/// the id before.
std::vector<Part> parts_of(std::span<const int32_t> ids) {
  std::vector<Part> parts = {{0, 0}};
  for (size_t r = 1; r < ids.size(); ++r) {
    if (ids[r] == ids[r - 1] + 1) continue;
    parts.back().end = r;
    parts.push_back({r, r});
  }
  parts.back().end = ids.size();
  return parts;
}

void expect_blocks_within(const BlockPlan& plan, size_t sequence_row, const Part& part) {
  for (size_t r = part.begin; r < part.end; ++r) {
    const size_t row = sequence_row + r;
    const auto begin = static_cast<size_t>(plan.begin[row]);
    const auto end = static_cast<size_t>(plan.end[row]);
    ASSERT_TRUE(part.begin <= begin && begin <= r && r < end && end <= part.end) << r;
    ASSERT_EQ(plan.starts[row], begin == r ? 1 : 0) << r;
    // One block: its rows agree.
    ASSERT_EQ(plan.begin[sequence_row + begin], plan.begin[row]);
    ASSERT_EQ(plan.end[sequence_row + end - 1], plan.end[row]);
  }
}

/// `ids` and so on are one rearranged sequence of tokens 0, 1, 2 ...
void expect_sound(std::span<const int32_t> ids, std::span<const int32_t> targets,
                  std::span<const int32_t> positions, const InfillOptions& options) {
  const std::vector<Part> parts = parts_of(ids);
  ASSERT_EQ(parts.size(), 3u);
  const auto& [prefix, suffix, middle] = std::tie(parts[0], parts[1], parts[2]);
  ASSERT_EQ(ids[0], 0);
  ASSERT_EQ(ids[middle.begin], ids[prefix.end - 1]);      // w_p again
  ASSERT_EQ(ids[middle.end - 1] + 1, ids[suffix.begin]);  // w_{q-1} and w_q
  ASSERT_EQ(targets[suffix.end - 1] + 1, std::ssize(ids));
  ASSERT_GE(middle.end - middle.begin, 2u);
  ASSERT_LE(middle.end - middle.begin, 65u);
  const int32_t slack = positions[suffix.begin] - ids[suffix.begin];
  ASSERT_GE(slack, 0);
  for (size_t r = 0; r < ids.size(); ++r) {
    const bool in_suffix = r >= suffix.begin && r < suffix.end;
    ASSERT_EQ(positions[r], ids[r] + (in_suffix ? slack : 0)) << r;
    ASSERT_LT(positions[r] + 1, options.position_limit) << r;
    if (r + 1 == ids.size()) {
      ASSERT_EQ(targets[r], options.end_of_text);
      continue;
    }
    ASSERT_EQ(targets[r], ids[r] + 1) << r;
    if (r >= middle.begin) {
      ASSERT_NE(targets[r], options.end_of_text) << r;
    }
  }
}

TEST(Infill, KeepsEveryRuleForAnyDraw) {
  constexpr int64_t kSequences = 8;
  int64_t rearranged = 0, total = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed, 1);
    const auto length = static_cast<int64_t>(4 + random.below(seed % 2 == 0 ? 12 : 200));
    const auto end_of_text = static_cast<int32_t>(random.below(static_cast<uint64_t>(length + 9)));
    const auto limit = length + 1 + static_cast<int64_t>(random.below(seed % 3 == 0 ? 3 : 300));
    const InfillOptions options{1, end_of_text, limit, seed};
    const TrainingBatch plain = counting_batch(kSequences, length);
    TrainingBatch batch = plain;
    batch.plan = plan_of(kSequences, length, seed);
    const BlockPlan before = batch.plan;
    infill(batch, options, 0);
    ASSERT_EQ(batch.ids.size(), plain.ids.size());
    ASSERT_EQ(batch.targets.size(), plain.ids.size());
    ASSERT_EQ(batch.positions.size(), plain.ids.size());
    ASSERT_EQ(batch.plan.begin.size(), plain.ids.size());
    EXPECT_EQ(batch.plan.times, before.times);
    EXPECT_EQ(batch.plan.uniform_time, before.uniform_time);
    for (int64_t s = 0; s < kSequences; ++s, ++total) {
      const auto first = static_cast<size_t>(s * length), size = static_cast<size_t>(length);
      const auto ids = std::span(batch.ids).subspan(first, size);
      const auto targets = std::span(batch.targets).subspan(first, size);
      const auto positions = std::span(batch.positions).subspan(first, size);
      if (parts_of(ids).size() == 1) {
        EXPECT_TRUE(std::ranges::equal(targets, std::span(plain.targets).first(size)));
        EXPECT_TRUE(std::ranges::equal(positions, std::span(plain.positions).first(size)));
        continue;
      }
      ++rearranged;
      ASSERT_NO_FATAL_FAILURE(expect_sound(ids, targets, positions, options));
      for (const Part& part : parts_of(ids)) {
        ASSERT_NO_FATAL_FAILURE(expect_blocks_within(batch.plan, first, part));
      }
    }
  }
  // Left alone is only what has the end of text right after the prefix.
  EXPECT_GT(rearranged, total * 9 / 10);
  EXPECT_LT(rearranged, total);
}

// --- Distributions

TEST(SampleSplit, PlacesLengthsAndSlackAreUniform) {
  constexpr int kDraws = 60000;
  const std::vector<int32_t> text =
      counting_text(8);  // a prefix of 1 to 5, a middle up to 6 - that
  const InfillOptions options{1, kNoEnd, 100, 0};
  std::map<int64_t, int> prefixes;
  std::map<std::pair<int64_t, int64_t>, int> splits;
  std::map<int64_t, int> slacks;  // of middles of 2 tokens
  int of_two = 0;
  Random random(5);
  for (int i = 0; i < kDraws; ++i) {
    const std::optional<InfillSplit> split = sample_split(text, options, random);
    ASSERT_TRUE(split);
    ++prefixes[split->prefix];
    ++splits[{split->prefix, split->middle}];
    if (split->middle != 2) continue;
    ++of_two;
    ++slacks[split->slack];
  }
  ASSERT_EQ(prefixes.size(), 5u);
  for (const auto& [prefix, count] : prefixes) {
    EXPECT_NEAR(count / double{kDraws}, 0.2, share_tolerance(0.2, kDraws)) << prefix;
  }
  ASSERT_EQ(splits.size(), 5u + 4u + 3u + 2u + 1u);
  for (const auto& [split, count] : splits) {
    const double expected = 0.2 / static_cast<double>(6 - split.first);
    EXPECT_NEAR(count / double{kDraws}, expected, share_tolerance(expected, kDraws))
        << split.first << " " << split.second;
  }
  ASSERT_EQ(slacks.size(), 5u);  // 0 to 2 * 2
  for (const auto& [slack, count] : slacks) {
    const double expected = slack == 0 ? 0.5 + 0.5 / 5 : 0.5 / 5;
    EXPECT_NEAR(count / double(of_two), expected, share_tolerance(expected, of_two)) << slack;
  }
}

TEST(SampleSplit, TheMiddleEndsBeforeTheEndOfTextAndAfter64Tokens) {
  Random random(6);
  std::map<int64_t, int> middles;
  for (int i = 0; i < 4000; ++i) {
    const auto split = sample_split(counting_text(300), {1, 200, 1000, 0}, random);
    if (!split) continue;
    ASSERT_FALSE(split->prefix <= 200 && 200 < split->prefix + split->middle);
    ++middles[split->middle];
  }
  EXPECT_EQ(middles.rbegin()->first, 64);
  EXPECT_EQ(middles.begin()->first, 1);
}

TEST(SampleSplit, NothingFits) {
  Random random(7);
  const std::vector<int32_t> ends(20, kNoEnd);
  EXPECT_FALSE(sample_split(ends, {1, kNoEnd, 100, 0}, random));
  EXPECT_FALSE(sample_split(counting_text(3), {1, kNoEnd, 100, 0}, random));
  const auto smallest = sample_split(counting_text(4), {1, kNoEnd, 100, 0}, random);
  ASSERT_TRUE(smallest);
  EXPECT_EQ(smallest->prefix, 1);
  EXPECT_EQ(smallest->middle, 1);
}

TEST(Infill, TheShareIsThatOfSequences) {
  constexpr int64_t kSequences = 20000;
  const TrainingBatch plain = counting_batch(kSequences, 6);
  for (double share : {0.0, 0.1, 0.7, 1.0}) {
    TrainingBatch batch = plain;
    infill(batch, {share, kNoEnd, 32, 8}, 0);
    int64_t rearranged = 0;
    for (int64_t s = 0; s < kSequences; ++s) {
      rearranged += batch.targets[6 * s + 5] == kNoEnd ? 1 : 0;
    }
    const auto count = static_cast<double>(kSequences);
    EXPECT_NEAR(static_cast<double>(rearranged) / count, share, share_tolerance(share, count));
  }
  TrainingBatch without_end = plain;
  infill(without_end, {1, -1, 32, 8}, 0);
  EXPECT_EQ(without_end.ids, plain.ids);
  EXPECT_EQ(without_end.targets, plain.targets);
}

TEST(Infill, IsAFunctionOfSeedAndSequence) {
  const auto infilled = [](int64_t sequences, int64_t first, uint64_t seed) {
    TrainingBatch batch = counting_batch(sequences, 40);
    infill(batch, {0.5, kNoEnd, 200, seed}, first);
    batch.ids.insert(batch.ids.end(), batch.positions.begin(), batch.positions.end());
    return batch;
  };
  const auto join = [](const TrainingBatch& a, const TrainingBatch& b) {
    std::vector<int32_t> targets = a.targets;
    targets.insert(targets.end(), b.targets.begin(), b.targets.end());
    return targets;
  };
  const TrainingBatch whole = infilled(6, 10, 1);
  EXPECT_EQ(whole.ids, infilled(6, 10, 1).ids);
  EXPECT_EQ(whole.targets, join(infilled(2, 10, 1), infilled(4, 12, 1)));
  EXPECT_NE(whole.targets, infilled(6, 10, 2).targets);
  EXPECT_NE(whole.targets, infilled(6, 16, 1).targets);
}

// --- What the network sees

/// Logits of the next tokens [n, V] of one sequence of random tokens, rearranged so that its last
/// tokens are `suffix`.
std::vector<float> logits_with(const model::Model& model, const std::vector<int32_t>& text,
                               const InfillSplit& split) {
  TrainingBatch batch = TrainingBatch::from_texts(text, 1);
  rearrange(batch, 0, split, 15);
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor h = model.forward(tape, two_stream_input(batch, {}));
  const tensor::Tensor logits =
      ops::head_logits(tape, h, 0, batch.length, model.unembedding(), nullptr);
  return {logits.values().begin(), logits.values().end()};
}

TEST(Infill, TheMiddleSeesTheSuffixAndThePrefixDoesNot) {
  const testing::ThreadsInTest one_thread(1);
  const RunConfig config = testing::tiny_run(1);
  const model::Model model = noisy_model(config, 3);
  std::vector<int32_t> text = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9};  // n = 12
  const InfillSplit split{4, 3, 0};                                     // ranks 0-3, 4-7, 8-11
  const std::vector<float> before = logits_with(model, text, split);
  const std::vector<float> moved = logits_with(model, text, {4, 3, 2});
  text[8] = 7;  // of rank 5, in the suffix
  const std::vector<float> after = logits_with(model, text, split);
  const auto width = static_cast<size_t>(config.vocab_size);
  const auto same_row = [&](const std::vector<float>& a, const std::vector<float>& b, size_t rank) {
    return std::memcmp(&a[rank * width], &b[rank * width], width * sizeof(float)) == 0;
  };
  for (size_t rank = 0; rank < 12; ++rank) {
    EXPECT_EQ(same_row(before, after, rank), rank < 5) << rank;
    EXPECT_EQ(same_row(before, moved, rank), rank < 4) << rank;
  }
}

}  // namespace
}  // namespace evo::train
