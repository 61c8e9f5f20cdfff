#include "train/ranks/partition.h"

#include <gtest/gtest.h>

#include "model/layout.h"
#include "train/testing.h"
#include "train/trainer/checkpointing.h"

namespace evo::train {
namespace {

bool all(const model::Parameter&) {
  return true;
}

/// Every number of the flat array belongs to exactly one rank, at exactly one place there.
TEST(Partition, EveryNumberHasOneOwner) {
  model::ParameterStore store;
  model::declare_parameters(testing::tiny_run(1), store);
  const auto total = static_cast<size_t>(store.list().back().offset + store.list().back().numel());
  for (const int ranks : {1, 2, 3, 4}) {
    for (const int64_t bucket_floats : {100, 1000, 1 << 20}) {
      std::vector<int> owners(total, 0);
      for (int rank = 0; rank < ranks; ++rank) {
        const Partition partition(store.list(), all, rank, ranks, bucket_floats);
        int64_t owned = 0;
        for (const Bucket& bucket : partition.buckets()) {
          EXPECT_EQ(bucket.own_at, owned);
          owned += bucket.own_size();
          Partition::for_each_owned(bucket, store.list(),
                                    [&](const model::Parameter& p, comm::IndexRange part) {
                                      for (int64_t i = part.begin; i < part.end; ++i) {
                                        const int64_t at = bucket.own_begin + i;
                                        ++owners[at];
                                        EXPECT_TRUE(p.offset <= at && at < p.offset + p.numel());
                                      }
                                    });
        }
        EXPECT_EQ(partition.own_size(), owned);
      }
      EXPECT_EQ(owners, std::vector<int>(total, 1)) << ranks << " ranks, " << bucket_floats;
    }
  }
}

TEST(Partition, BucketsAreTheSameOnEveryRankAndNotTooLarge) {
  model::ParameterStore store;
  model::declare_parameters(testing::tiny_run(1), store);
  const Partition first(store.list(), all, 0, 3, 1000), last(store.list(), all, 2, 3, 1000);
  ASSERT_EQ(first.buckets().size(), last.buckets().size());
  int64_t end = 0;
  for (size_t i = 0; i < first.buckets().size(); ++i) {
    const Bucket& bucket = first.buckets()[i];
    EXPECT_EQ(bucket.begin, end);
    EXPECT_EQ(last.buckets()[i].begin, bucket.begin);
    EXPECT_TRUE(bucket.size() >= 1 && bucket.size() <= 1000);
    end = bucket.end;
  }
  EXPECT_EQ(end, store.list().back().offset + store.list().back().numel());
  EXPECT_EQ(Partition(store.list(), all, 0, 1).buckets().size(), 1u);
}

/// A bucket is needed when the first of its parameters is.
TEST(Partition, OrderOfUseIsThatOfAPass) {
  RunConfig config = testing::tiny_run(1);
  model::ParameterStore store;
  model::declare_parameters(config, store);
  const Partition partition(store.list(), all, 0, 2, 1000);
  const std::vector<Bucket> buckets = partition.in_order_of_use();
  ASSERT_EQ(buckets.size(), partition.buckets().size());
  int64_t reached = 0;
  for (const Bucket& bucket : buckets) {
    EXPECT_GE(bucket.first_use, reached);
    reached = bucket.first_use;
    for (const model::Parameter& p : store.list()) {
      const bool apart = p.offset + p.numel() <= bucket.begin || bucket.end <= p.offset;
      EXPECT_TRUE(apart || bucket.first_use <= p.first_use) << p.name;
    }
  }
  EXPECT_EQ(reached, config.num_hidden_layers + 1);
  EXPECT_EQ(store.find("evo.codes").first_use, 0);
  EXPECT_EQ(store.find("model.layers.1.mlp.up_proj.weight").first_use, 2);
  EXPECT_EQ(store.find("evo.layers.0.modulation.weight").first_use, 1);
}

/// Weights of a frozen backbone never travel.
TEST(Partition, WhatTrainsIsApart) {
  RunConfig config = testing::tiny_run(1);
  config.freeze_backbone = true;
  model::ParameterStore store;
  model::declare_parameters(config, store);
  const auto trains = [&](const model::Parameter& p) { return is_trained(config, p); };
  const Partition partition(store.list(), trains, 0, 2, 3000);
  for (const model::Parameter& p : store.list()) {
    for (const Bucket& bucket : partition.buckets()) {
      const bool apart = p.offset + p.numel() <= bucket.begin || bucket.end <= p.offset;
      EXPECT_TRUE(apart || bucket.trained == model::is_flow_parameter(p.name)) << p.name;
    }
  }
}

}  // namespace
}  // namespace evo::train
