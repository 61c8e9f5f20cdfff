#include "tokenizer/bpe/merge_table.h"

#include <chrono>

#include "text/testing.h"

namespace evo::tokenizer {
namespace {

using Tokens = std::vector<int32_t>;

// The definition: again and again the pair of lowest rank, the leftmost of equal ones.
Tokens reference_apply(const std::vector<Merge>& merges, Tokens tokens) {
  const auto rank_at = [&](size_t i) {
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      if (merges[rank].left == tokens[i] && merges[rank].right == tokens[i + 1]) return rank;
    }
    return merges.size();
  };
  while (true) {
    size_t best = 0, best_rank = merges.size();
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      if (rank_at(i) < best_rank) {
        best = i;
        best_rank = rank_at(i);
      }
    }
    if (best_rank == merges.size()) return tokens;
    tokens[best] = merges[best_rank].result;
    tokens.erase(tokens.begin() + best + 1);
  }
}

// Ranks in any order, so that a merge may make a pair of lower rank than its own.
std::vector<Merge> random_merges(Random& random, int32_t letters, int count) {
  std::vector<Merge> merges;
  std::vector<uint64_t> known;
  int32_t size = letters;
  while (static_cast<int>(merges.size()) < count) {
    const auto left = static_cast<int32_t>(random.below(size));
    const auto right = static_cast<int32_t>(random.below(size));
    if (std::find(known.begin(), known.end(), pair_key(left, right)) != known.end()) continue;
    known.push_back(pair_key(left, right));
    merges.insert(merges.begin() + random.below(merges.size() + 1), {left, right, size++});
  }
  return merges;
}

TEST(MergeTable, AgreesWithTheDefinitionForAllLengths) {
  Random random(1);
  for (int trial = 0; trial < 400; ++trial) {
    const auto letters = static_cast<int32_t>(1 + random.below(4));
    const std::vector<Merge> merges =
        random_merges(random, letters, static_cast<int>(random.below(20)));
    const MergeTable table(merges);
    Tokens tokens(trial % 140);  // on both sides of where the method changes
    for (int32_t& token : tokens) token = static_cast<int32_t>(random.below(letters));
    const Tokens expected = reference_apply(merges, tokens);
    table.apply(tokens);
    EXPECT_EQ(tokens, expected) << trial;
  }
}

TEST(MergeTable, JoinsTheLeftmostOfEqualPairs) {
  const std::vector<Merge> merges = {{0, 0, 1}};
  for (const size_t length : {5, 101}) {
    Tokens tokens(length, 0), expected(length / 2, 1);
    expected.push_back(0);
    MergeTable(merges).apply(tokens);
    EXPECT_EQ(tokens, expected);
  }
}

TEST(MergeTable, FindsAllPairsAndNoOthers) {
  Random random(2);
  const std::vector<Merge> merges = random_merges(random, 50, 3000);
  const MergeTable table(merges);
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    EXPECT_EQ(table.find(merges[rank].left, merges[rank].right).rank, static_cast<int32_t>(rank));
    EXPECT_EQ(table.find(merges[rank].left, merges[rank].right).result, merges[rank].result);
  }
  EXPECT_EQ(table.find(4000, 1).rank, MergeTable::kNone);
  EXPECT_EQ(MergeTable({}).find(0, 0).rank, MergeTable::kNone);
}

// A quadratic method would need hours.
TEST(MergeTable, AHugeWordTakesBoundedTime) {
  Random random(3);
  const std::vector<Merge> merges = random_merges(random, 4, 500);
  Tokens tokens(2'000'000);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random.below(4));
  const auto start = std::chrono::steady_clock::now();
  MergeTable(merges).apply(tokens);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
  EXPECT_LT(tokens.size(), 1'900'000u);
}

}  // namespace
}  // namespace evo::tokenizer
