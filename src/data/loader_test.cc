#include "data/loader.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "base/testing.h"

namespace evo::data {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

TEST(Permutation, IsABijectionForSmallSizes) {
  for (uint64_t size = 1; size <= 300; ++size) {
    const Permutation permutation(size, 5, size);
    std::vector<bool> seen(size, false);
    for (uint64_t i = 0; i < size; ++i) {
      const uint64_t value = permutation(i);
      ASSERT_LT(value, size);
      ASSERT_FALSE(seen[value]) << size;
      seen[value] = true;
    }
  }
}

TEST(Permutation, ValuesOfLargeSizesAreInRangeAndDistinct) {
  for (const uint64_t size : {(uint64_t{1} << 40) + 1, UINT64_MAX}) {
    const Permutation permutation(size, 5, 6);
    std::set<uint64_t> values;
    for (uint64_t i = 0; i < 1000; ++i) values.insert(permutation(i));
    EXPECT_EQ(values.size(), 1000u);
    EXPECT_LT(*values.rbegin(), size);
    EXPECT_GT(*values.rbegin(), size / 2);  // spread out: all below half has probability 2^-1000
  }
}

/// All 24 orders of 4 elements come about equally often over streams.
TEST(Permutation, OrdersAreUniform) {
  constexpr int kDraws = 24'000;
  std::vector<int> counts(256, 0);
  for (uint64_t stream = 0; stream < kDraws; ++stream) {
    const Permutation permutation(4, 1, stream);
    size_t code = 0;
    for (uint64_t i = 0; i < 4; ++i) code = code * 4 + permutation(i);
    ++counts[code];
  }
  EXPECT_EQ(std::count_if(counts.begin(), counts.end(), [](int n) { return n > 0; }), 24);
  double chi_squared = 0;  // 23 degrees of freedom: above 60 with probability 4e-5
  for (const int n : counts) {
    if (n > 0) chi_squared += (n - 1000.0) * (n - 1000.0) / 1000.0;
  }
  EXPECT_TRUE(chi_squared < 60) << chi_squared;
}

/// A file whose token i is i, so that a window tells where it is from.
class Loader : public ::testing::Test {
 protected:
  static constexpr int64_t kTokens = 1000, kVocab = 1000;

  static TokenFile make(const TemporaryFolder& folder) {
    std::vector<int32_t> tokens(kTokens);
    std::iota(tokens.begin(), tokens.end(), 0);
    write_tokens(folder / "t", tokens, 0, 0);
    return TokenFile(folder / "t");
  }
  [[nodiscard]] SequenceLoader loader(int64_t begin, int64_t end, int64_t length, uint64_t seed = 1,
                                      bool shuffle = true) const {
    return {file_, {begin, end, length, kVocab, seed, shuffle}};
  }
  static std::vector<int32_t> sequence(const SequenceLoader& loader, int64_t index) {
    std::vector<int32_t> out(static_cast<size_t>(loader.length()) + 1);
    loader.fill(index, out);
    return out;
  }
  /// First tokens of the windows of an epoch, in the order of the epoch.
  static std::vector<int64_t> starts(const SequenceLoader& loader, int64_t epoch) {
    std::vector<int64_t> result;
    for (int64_t i = 0; i < loader.sequences_per_epoch(); ++i) {
      result.push_back(sequence(loader, epoch * loader.sequences_per_epoch() + i).front());
    }
    return result;
  }

  TemporaryFolder folder_;
  TokenFile file_ = make(folder_);
};

TEST_F(Loader, EveryWindowOfAnEpochExactlyOnce) {
  for (const int64_t length : {1, 7, 32, 300, 499, 998, 999}) {
    SCOPED_TRACE(length);
    const SequenceLoader sequences = loader(0, kTokens, length);
    for (int64_t epoch = 0; epoch < 3; ++epoch) {
      std::vector<int64_t> begins = starts(sequences, epoch);
      std::sort(begins.begin(), begins.end());
      for (size_t i = 1; i < begins.size(); ++i) EXPECT_EQ(begins[i], begins[i - 1] + length);
      EXPECT_LT(kTokens - 1 - std::ssize(begins) * length, 2 * length);  // targets left out
    }
  }
}

TEST_F(Loader, WindowsAreConsecutiveTokensWithinTheRange) {
  const SequenceLoader sequences = loader(100, 417, 16);
  for (int64_t index = 0; index < 20 * sequences.sequences_per_epoch(); ++index) {
    const auto tokens = sequence(sequences, index);
    EXPECT_EQ(tokens.front(), sequences.start_of(index));
    EXPECT_GE(tokens.front(), 100);
    EXPECT_LT(tokens.back(), 417);
    for (size_t i = 1; i < tokens.size(); ++i) ASSERT_EQ(tokens[i], tokens[i - 1] + 1);
  }
}

TEST_F(Loader, EpochsAndSeedsDiffer) {
  const SequenceLoader one = loader(0, kTokens, 32, 1), other = loader(0, kTokens, 32, 2);
  EXPECT_NE(starts(one, 0), starts(one, 1));
  EXPECT_NE(starts(one, 0), starts(other, 0));
  std::set<int64_t> phases, places;
  for (int64_t epoch = 0; epoch < 400; ++epoch) {
    const auto begins = starts(one, epoch);
    const int64_t phase = *std::min_element(begins.begin(), begins.end());
    phases.insert(phase);
    places.insert((begins.front() - phase) / 32);
  }
  // 1000 tokens less 30 windows: all of them, as 400 draws miss one with probability 40 e^-10.
  EXPECT_EQ(phases.size(), 40u);
  EXPECT_EQ(std::ssize(places), one.sequences_per_epoch());
}

TEST_F(Loader, IsAPureFunctionOfTheIndex) {
  const SequenceLoader one = loader(0, kTokens, 32), same = loader(0, kTokens, 32);
  std::vector<std::vector<int32_t>> forward;
  for (int64_t index = 0; index < 100; ++index) forward.push_back(sequence(one, index));
  for (int64_t index = 99; index >= 0; --index) {
    EXPECT_EQ(sequence(same, index), forward[index]);
  }
}

TEST_F(Loader, WithoutShufflingInTheOrderOfTheText) {
  const SequenceLoader sequences = loader(10, 110, 33, 1, false);
  EXPECT_EQ(sequences.sequences_per_epoch(), 3);  // 99 targets
  EXPECT_EQ(starts(sequences, 0), (std::vector<int64_t>{10, 43, 76}));
  EXPECT_EQ(starts(sequences, 1), starts(sequences, 0));
}

TEST_F(Loader, TheShortestText) {
  for (const bool shuffle : {false, true}) {
    const SequenceLoader sequences = loader(0, 9, 8, 1, shuffle);
    EXPECT_EQ(sequences.sequences_per_epoch(), 1);
    for (int64_t index = 0; index < 5; ++index) EXPECT_EQ(sequence(sequences, index).front(), 0);
    expect_error([&] { (void)loader(0, 8, 8, 1, shuffle); },
                 {"length 8 needs 9 tokens", "has 8", "longer text"});
  }
}

TEST_F(Loader, VocabularyIsChecked) {
  expect_error([&] { SequenceLoader(file_, {0, 100, 8, 999, 1}); }, {"id 999", "only 999"});
}

/// Documents of token 1 between separators 0, of the given lengths.
TokenFile documents(const TemporaryFolder& folder, std::initializer_list<int> lengths) {
  std::vector<int32_t> tokens = {0};
  for (const int length : lengths) {
    tokens.insert(tokens.end(), static_cast<size_t>(length), 1);
    tokens.push_back(0);
  }
  write_tokens(folder / "documents", tokens, 0, 0);
  return TokenFile(folder / "documents");
}

std::vector<int64_t> window_starts(const TokenFile& file, int64_t length) {
  LoaderOptions options{0, file.size(), length, 2, 1, false, 0};
  const SequenceLoader loader(file, options);
  std::vector<int64_t> starts;
  for (int64_t i = 0; i < loader.sequences_per_epoch(); ++i) starts.push_back(loader.start_of(i));
  return starts;
}

TEST(LoaderOfDocuments, WindowsBeginWithDocumentsAndACutOneComesAgain) {
  TemporaryFolder folder;
  // Separators at 0, 4, 8, 12, 20, 24, 28.
  const TokenFile file = documents(folder, {3, 3, 3, 7, 3, 3});
  EXPECT_EQ(window_starts(file, 4), (std::vector<int64_t>{0, 4, 8, 12, 16, 20, 24}));
  EXPECT_EQ(window_starts(file, 8), (std::vector<int64_t>{0, 8, 12, 20}));
  EXPECT_EQ(window_starts(file, 10), (std::vector<int64_t>{0, 8, 12}));  // 20 .. 30 is too long
  EXPECT_EQ(window_starts(file, 28), std::vector<int64_t>{0});
}

TEST(LoaderOfDocuments, EveryWindowOnceInAnyOrder) {
  TemporaryFolder folder;
  const TokenFile file = documents(folder, {5, 2, 9, 4, 4, 1, 7, 3, 6, 2, 2, 8});
  const SequenceLoader loader(file, {0, file.size(), 10, 2, 3, true, 0});
  const std::vector<int64_t> expected = window_starts(file, 10);
  std::set<std::vector<int64_t>> orders;
  for (int64_t epoch = 0; epoch < 8; ++epoch) {
    std::vector<int64_t> order;
    for (int64_t i = 0; i < loader.sequences_per_epoch(); ++i) {
      order.push_back(loader.start_of(epoch * loader.sequences_per_epoch() + i));
    }
    orders.insert(order);
    std::ranges::sort(order);
    EXPECT_EQ(order, expected);
  }
  EXPECT_GT(orders.size(), 1u);
}

TEST(LoaderOfDocuments, NeedsADocumentThatBeginsEarlyEnough) {
  TemporaryFolder folder;
  std::vector<int32_t> tokens(20, 1);
  tokens[15] = 0;
  write_tokens(folder / "late", tokens, 0, 0);
  const TokenFile file(folder / "late");
  expect_error(
      [&] {
        SequenceLoader(file, {0, 20, 8, 2, 1, true, 0});
      },
      {"late", "no document begins early enough", "length 8"});
}

}  // namespace
}  // namespace evo::data
