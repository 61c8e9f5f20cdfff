#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/testing.h"
#include "train/testing.h"

namespace evo::train {
namespace {

TEST(Shares, AreTheBatchCutIntoPieces) {
  const RunConfig config = testing::tiny_run(1);
  const model::Model model = testing::noisy_model(config, 1);
  TrainingBatch batch = testing::planned_batch(config, model, 6, 2);
  batch.learn.assign(batch.targets.size(), 1);
  batch.learn[3] = 0;
  batch.self_condition = true;
  for (const int ranks : {1, 2, 3, 6}) {
    TrainingBatch joined;
    for (int rank = 0; rank < ranks; ++rank) {
      const comm::IndexRange part = comm::part_of(batch.sequences, rank, ranks);
      const TrainingBatch share = batch.share(part.begin, part.size());
      EXPECT_EQ(share.first_row, std::ssize(joined.ids));
      EXPECT_EQ(share.row_counts().learnt, batch.row_counts().learnt);
      EXPECT_EQ(share.row_counts().elbo, batch.row_counts().elbo);
      EXPECT_EQ(share.length, batch.length);
      EXPECT_EQ(share.seed, batch.seed);
      EXPECT_TRUE(share.self_condition);
      const auto append = [](auto& to, const auto& from) {
        to.insert(to.end(), from.begin(), from.end());
      };
      joined.sequences += share.sequences;
      append(joined.ids, share.ids);
      append(joined.targets, share.targets);
      append(joined.positions, share.positions);
      append(joined.learn, share.learn);
      append(joined.plan.begin, share.plan.begin);
      append(joined.plan.end, share.plan.end);
      append(joined.plan.starts, share.plan.starts);
      append(joined.plan.times, share.plan.times);
      append(joined.plan.uniform_time, share.plan.uniform_time);
    }
    EXPECT_EQ(joined.sequences, batch.sequences);
    EXPECT_EQ(joined.ids, batch.ids);
    EXPECT_EQ(joined.targets, batch.targets);
    EXPECT_EQ(joined.positions, batch.positions);
    EXPECT_EQ(joined.learn, batch.learn);
    EXPECT_EQ(joined.plan.begin, batch.plan.begin);
    EXPECT_EQ(joined.plan.end, batch.plan.end);
    EXPECT_EQ(joined.plan.starts, batch.plan.starts);
    EXPECT_EQ(joined.plan.times, batch.plan.times);
    EXPECT_EQ(joined.plan.uniform_time, batch.plan.uniform_time);
  }
}

/// Blocks of which nothing would be learnt do not evolve; a block with one learnt target does
/// whole.
TEST(EvolvingRowsOfABatch, AreThoseOfBlocksFromWhichSomethingIsLearnt) {
  TrainingBatch batch = TrainingBatch::from_texts(std::vector<int32_t>{10, 11, 12, 13, 14, 15,  //
                                                                       20, 21, 22, 23, 24, 25},
                                                  2);
  for (int sequence = 0; sequence < 2; ++sequence) {  // | 0 1 | 2 3 4 |
    batch.plan.append_block(0, 2);
    batch.plan.append_block(2, 5);
  }
  for (int r = 0; r < 10; ++r) batch.plan.times.push_back(0.1f * static_cast<float>(r));
  batch.plan.uniform_time.assign(10, 0);
  EXPECT_EQ(batch.evolving_rows().size(), 10);
  batch.learn = {0, 0, 0, 1, 0, 1, 1, 0, 0, 0};
  const EvolvingRows evolving = batch.evolving_rows();
  EXPECT_EQ(evolving.rows, (std::vector<int32_t>{2, 3, 4, 5, 6}));
  EXPECT_EQ(evolving.targets, (std::vector<int32_t>{13, 14, 15, 21, 22}));
  EXPECT_EQ(evolving.previous, (std::vector<int32_t>{12, 13, 14, 20, 21}));
  EXPECT_EQ(evolving.times, (std::vector<float>{0.2f, 0.1f * 3, 0.4f, 0.5f, 0.1f * 6}));
  EXPECT_EQ(evolving.learn, (std::vector<uint8_t>{0, 1, 0, 1, 1}));
  EXPECT_EQ(evolving.starts, (std::vector<uint8_t>{1, 0, 0, 1, 0}));
  const int32_t expected[5][4] = {
      {0, 3, 0, 3}, {0, 3, 0, 3}, {0, 3, 0, 3}, {5, 6, 3, 5}, {5, 6, 3, 5}};
  for (size_t e = 0; e < 5; ++e) {
    const ops::KeyRange& sees = evolving.sees[e];
    EXPECT_EQ(sees.context_begin, expected[e][0]) << e;
    EXPECT_EQ(sees.context_end, expected[e][1]) << e;
    EXPECT_EQ(sees.self_begin, expected[e][2]) << e;
    EXPECT_EQ(sees.self_end, expected[e][3]) << e;
  }
  const model::ForwardInput input = two_stream_input(batch, {{}, {}, evolving.times});
  EXPECT_EQ(input.positions, (std::vector<int32_t>{0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 3, 4, 5, 1, 2}));
  EXPECT_EQ(input.ranges[13].self_begin, 13);
  EXPECT_EQ(input.ranges[13].self_end, 15);
}

/// However many ranks there are, and when their number changes on the way: in an epoch every
/// sequence comes exactly once.
TEST(Shares, EverySequenceOfAnEpochComesOnceOnAnyNumbersOfRanks) {
  const testing::TemporaryFolder folder;
  std::vector<int32_t> ids(5000);
  std::iota(ids.begin(), ids.end(), 0);  // a token tells its place
  data::write_tokens(folder / "tokens", ids, 1, 2);
  const data::TokenFile tokens(folder / "tokens");
  const data::SequenceLoader loader(tokens,
                                    {.begin = 0, .end = 5000, .length = 16, .vocab_size = 5000});
  const int64_t epoch = loader.sequences_per_epoch();
  std::set<int32_t> seen;
  int64_t next = 0;
  while (next < epoch) {
    const int ranks = next < 100 ? 4 : next < 200 ? 2 : 1;
    const TrainingBatch batch =
        TrainingBatch::from_loader(loader, next, std::min<int64_t>(12, epoch - next));
    for (int rank = 0; rank < ranks; ++rank) {
      const comm::IndexRange part = comm::part_of(batch.sequences, rank, ranks);
      if (part.size() == 0) continue;
      const TrainingBatch share = batch.share(part.begin, part.size());
      for (int64_t s = 0; s < share.sequences; ++s) {
        const int32_t first = share.ids[s * share.length];
        EXPECT_TRUE(seen.insert(first).second) << first;
      }
    }
    next += batch.sequences;
  }
  EXPECT_EQ(std::ssize(seen), epoch);
  EXPECT_GT(epoch, 250);
}

}  // namespace
}  // namespace evo::train
