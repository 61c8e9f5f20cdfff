#include "data/loader_mixture.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/testing.h"
#include "data/loader.h"

namespace evo::data {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

const std::vector<std::vector<double>> kWeights = {
    {1}, {1, 1}, {0.7, 0.3}, {1, 1000}, {3, 1, 2}, {0.01, 0.02, 0.9, 0.07}, {5, 4, 3, 2, 1, 1e-4}};

/// How far counts may be from their share: loader_mixture.cc derives it, and weights are kept to
/// 2^-31 of their sum.
double bound(size_t sources, double numbers) {
  return std::max(1.0, static_cast<double>(sources) - 1) / 2 + numbers * 0x1p-30;
}

TEST(Mixture, EveryBeginningAndWindowHasItsShares) {
  for (const std::vector<double>& weights : kWeights) {
    SCOPED_TRACE(::testing::PrintToString(weights));
    const Mixture mixture(weights);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<int64_t> counts(weights.size(), 0);
    std::vector<std::vector<int64_t>> history = {counts};
    for (int64_t number = 0; number < 3000; ++number) {
      const auto [source, index] = mixture.at(number);
      // The source's own numbers come one after the other: none twice, none left out.
      ASSERT_EQ(index, counts[source]++);
      history.push_back(counts);
    }
    for (const size_t window : {1, 7, 100, 3000}) {
      for (size_t end = window; end < history.size(); end += 13) {
        const auto width = static_cast<double>(window);
        for (size_t s = 0; s < weights.size(); ++s) {
          const double expected = width * weights[s] / sum;
          const auto found = static_cast<double>(history[end][s] - history[end - window][s]);
          const double most = bound(weights.size(), 3000) * (end == window ? 1 : 2);
          ASSERT_LE(std::abs(found - expected), most) << window << " " << end << " " << s;
        }
      }
    }
  }
}

TEST(Mixture, FarNumbers) {
  const Mixture mixture(std::vector<double>{1, 2, 4});
  const int64_t far = int64_t{1} << 60;
  std::set<int64_t> sources;
  for (int64_t number = far; number < far + 7; ++number) {
    const auto [source, index] = mixture.at(number);
    sources.insert(source);
    EXPECT_NEAR(static_cast<double>(index) / static_cast<double>(number), (1 << source) / 7.0,
                1e-9);
  }
  EXPECT_EQ(sources.size(), 3u);
}

TEST(Mixture, WeightsThatAreTooSmall) {
  expect_error([] { Mixture(std::vector<double>{1, 1e-12}); }, {"weight 1e-12", "too small"});
}

/// Sources whose tokens say which source and place they are from: source * 1000 + place.
class MixtureLoader : public ::testing::Test {
 protected:
  static constexpr int64_t kLength = 8;

  TokenSource source(int32_t number, double weight, int32_t count, int32_t held_out) const {
    TokenSource source{"source" + std::to_string(number), weight, {}};
    for (int32_t shard = 0; shard < 2; ++shard) {  // each source in two
      const auto path = folder_ / (source.name + "-" + std::to_string(shard));
      TokenWriter writer(path, 10'000);
      for (int32_t i = shard * count / 2; i < (shard + 1) * count / 2; ++i) {
        const int32_t id = number * 1000 + i;
        i % (count / 2) < held_out ? writer.append_held_out(std::span(&id, 1))
                                   : writer.append(std::span(&id, 1));
      }
      writer.commit(0, 0);
      source.shards.emplace_back(path);
    }
    return source;
  }
  [[nodiscard]] TokenFile tokens(double second_weight = 0.25) const {
    std::vector<TokenSource> sources;
    sources.push_back(source(0, 0.75, 400, 20));
    sources.push_back(source(1, second_weight, 300, 20));
    sources.push_back(source(2, 1, 100, 3));
    return {"mixed", std::move(sources)};
  }
  static LoaderOptions part(const TokenFile& file, bool held_out) {
    return {held_out ? file.held_out_begin() : 0,
            held_out ? file.size() : file.held_out_begin(),
            kLength,
            10'000,
            5,
            !held_out};
  }
  static std::vector<int32_t> sequence(const SequenceLoader& loader, int64_t index) {
    std::vector<int32_t> out(kLength + 1);
    loader.fill(index, out);
    return out;
  }

  TemporaryFolder folder_;
};

/// Training goes through each source epoch by epoch: no window of an epoch twice, none left out.
TEST_F(MixtureLoader, EverySourceGoesThroughItsOwnEpochs) {
  const TokenFile file = tokens();
  const SequenceLoader loader(file, part(file, false));
  std::vector<std::vector<int64_t>> starts(3);
  constexpr int64_t kCount = 600;
  for (int64_t index = 0; index < kCount; ++index) {
    const auto ids = sequence(loader, index);
    const auto own = static_cast<size_t>(ids.front() / 1000);
    for (const int32_t id : ids) ASSERT_EQ(id / 1000, ids.front() / 1000);
    starts[own].push_back(loader.start_of(index));
  }
  const double shares[] = {0.375, 0.125, 0.5};
  for (size_t s = 0; s < 3; ++s) {
    const auto& [begin, end] = file.sources()[s].training;
    EXPECT_NEAR(static_cast<double>(starts[s].size()), kCount * shares[s], bound(3, kCount));
    // One length is left for the phase, see SequenceOrder.
    const auto epoch = static_cast<std::ptrdiff_t>((end - begin - kLength) / kLength);
    ASSERT_GE(std::ssize(starts[s]), 2 * epoch) << s;
    for (const std::ptrdiff_t first : {std::ptrdiff_t{0}, epoch}) {
      std::vector<int64_t> seen(starts[s].begin() + first, starts[s].begin() + first + epoch);
      std::ranges::sort(seen);
      EXPECT_GE(seen.front(), begin);
      EXPECT_LE(seen.back(), end - kLength - 1);
      for (size_t i = 1; i < seen.size(); ++i) EXPECT_EQ(seen[i], seen[i - 1] + kLength);
    }
  }
}

/// Two sources of one size and weight: the orders of their windows are not the same.
TEST_F(MixtureLoader, SourcesDoNotGoInStep) {
  std::vector<TokenSource> sources;
  for (const int32_t number : {0, 1}) sources.push_back(source(number, 1, 400, 20));
  const TokenFile file("twins", std::move(sources));
  const SequenceLoader loader(file, part(file, false));
  std::vector<std::vector<int64_t>> places(2);
  for (int64_t index = 0; index < 80; ++index) {
    const int64_t start = loader.start_of(index);
    const size_t own = start >= file.sources()[1].training.begin ? 1 : 0;
    places[own].push_back(start - file.sources()[own].training.begin);
  }
  EXPECT_EQ(places[0].size(), places[1].size());
  EXPECT_NE(places[0], places[1]);
}

/// However the indices are shared out among ranks and cut into batches, and wherever a run is
/// resumed, with a loader of its own: all together see what one sees.
TEST_F(MixtureLoader, IsAPureFunctionOfTheIndex) {
  const TokenFile file = tokens();
  const SequenceLoader whole(file, part(file, false));
  constexpr int64_t kCount = 240;
  std::vector<std::vector<int32_t>> expected;
  for (int64_t i = 0; i < kCount; ++i) expected.push_back(sequence(whole, i));
  for (const int64_t ranks : {1, 2, 3, 4}) {
    for (const int64_t batch : {1, 5, 20}) {
      std::vector<std::vector<int32_t>> found(kCount);
      for (int64_t rank = 0; rank < ranks; ++rank) {
        const TokenFile again = tokens();
        const SequenceLoader own(again, part(again, false));
        for (int64_t first = rank * batch; first < kCount; first += ranks * batch) {
          for (int64_t i = first; i < std::min(first + batch, kCount); ++i) {
            found[i] = sequence(own, i);
          }
        }
      }
      EXPECT_EQ(found, expected) << ranks << " " << batch;
    }
  }
}

TEST_F(MixtureLoader, ValidationMixesHeldOutParts) {
  const TokenFile file = tokens();
  const SequenceLoader loader(file, part(file, true));
  std::vector<int> counts(3, 0);
  std::vector<int32_t> begins(3, -1);
  for (int64_t i = 0; i < 8; ++i) {
    const auto ids = sequence(loader, i);
    const auto own = static_cast<size_t>(ids.front() / 1000);
    if (counts[own]++ == 0) begins[own] = ids.front() % 1000;
    for (const int32_t id : ids) {
      const int32_t half = own == 0 ? 200 : 150;
      EXPECT_LT(id % 1000 % half, 20);
    }
  }
  // The third has 6 held-out tokens, less than a sequence; the others are 3 to 1.
  EXPECT_EQ(counts, (std::vector<int>{6, 2, 0}));
  EXPECT_EQ(begins, (std::vector<int32_t>{0, 0, -1}));
}

TEST_F(MixtureLoader, FaultsAreNamed) {
  const TokenFile file = tokens();
  LoaderOptions options = part(file, false);
  options.length = 150;
  expect_error([&] { SequenceLoader(file, options); }, {"source2", "151 tokens", "has 94"});
  options.length = kLength;
  options.end -= 1;
  expect_error([&] { SequenceLoader(file, options); }, {"mixed", "validation_fraction"});
  options = part(file, true);
  options.length = 60;
  expect_error([&] { SequenceLoader(file, options); }, {"mixed", "no source holds out 61"});
}

/// One source is what it always was, whatever its weight and number of shards.
TEST_F(MixtureLoader, OneSourceIsOneFile) {
  std::vector<TokenSource> sources;
  sources.push_back(source(3, 0.1, 400, 20));
  const TokenFile shards("one", std::move(sources));
  std::vector<int32_t> ids(static_cast<size_t>(shards.held_out_begin()));
  shards.copy(0, ids);
  write_tokens(folder_ / "whole", ids, 0, 0);
  const TokenFile whole(folder_ / "whole");
  const SequenceLoader expected(whole, part(whole, false)), found(shards, part(shards, false));
  EXPECT_EQ(found.sequences_per_epoch(), expected.sequences_per_epoch());
  for (int64_t i = 0; i < 200; ++i) EXPECT_EQ(sequence(found, i), sequence(expected, i));
}

/// The order of a file, as written down before there were sources.
TEST_F(MixtureLoader, TheOrderOfOneFileIsKept) {
  std::vector<int32_t> ids(1000);
  std::iota(ids.begin(), ids.end(), 0);
  write_tokens(folder_ / "t", ids, 0, 0);
  const TokenFile file(folder_ / "t");
  const SequenceLoader loader(file, {0, 1000, 32, 1000, 1, true});
  std::vector<int64_t> starts;
  for (const int64_t index : {0, 1, 2, 30, 31, 1000}) starts.push_back(loader.start_of(index));
  EXPECT_EQ(starts, (std::vector<int64_t>{33, 833, 193, 611, 643, 956}));
}

}  // namespace
}  // namespace evo::data
