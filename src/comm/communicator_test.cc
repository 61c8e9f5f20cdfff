// Run alone and on 2 and 4 ranks (cmake/mpi.cmake).
#include "comm/communicator.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>

#include "base/float_formats.h"
#include "base/random.h"
#include "comm/testing.h"

namespace evo::comm {
namespace {

using testing::Ranks;

/// What rank `rank` brings: numbers whose sum in f32 depends on the order.
std::vector<float> numbers_of(int rank, size_t count) {
  std::vector<float> values(count);
  Random random(7, static_cast<uint64_t>(rank));
  random.fill_normal(values);
  for (size_t i = 0; i < count; ++i) values[i] = std::ldexp(values[i], static_cast<int>(i % 40));
  return values;
}

std::vector<float> sum_of_all(size_t count, Wire wire, bool backwards = false) {
  std::vector<float> sum(count);
  const int size = Ranks::all().size();
  for (int k = 0; k < size; ++k) {
    const std::vector<float> term = numbers_of(backwards ? size - 1 - k : k, count);
    for (size_t i = 0; i < count; ++i) {
      const float value = wire == Wire::kBF16 ? from_bf16(to_bf16(term[i])) : term[i];
      sum[i] = k == 0 ? value : sum[i] + value;
    }
  }
  return sum;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

TEST(Ranks, PartsAreContiguousAndNearlyEqual) {
  for (const int64_t count : {0, 1, 3, 1000003}) {
    for (const int size : {1, 2, 3, 7}) {
      int64_t end = 0;
      for (int rank = 0; rank < size; ++rank) {
        const IndexRange part = part_of(count, rank, size);
        EXPECT_EQ(part.begin, end);
        EXPECT_LE(std::abs(part.size() - count / size), 1);
        end = part.end;
      }
      EXPECT_EQ(end, count);
    }
  }
}

/// Lengths shorter than the number of ranks, not divisible by it, and longer than what MPI sends
/// without asking the receiver.
TEST(Ranks, SumsAreAddedInOrderOfRank) {
  Communicator& all = Ranks::all();
  for (const Wire wire : {Wire::kF32, Wire::kBF16}) {
    for (const size_t count : {0, 1, 3, 1001, 300007}) {
      SCOPED_TRACE(count);
      std::vector<float> values = numbers_of(all.rank(), count);
      all.reduce_scatter(values, wire);
      const IndexRange own = part_of(std::ssize(values), all.rank(), all.size());
      const std::vector<float> expected = sum_of_all(count, wire);
      const auto part = [&](const std::vector<float>& of) {
        return std::span(of).subspan(own.begin, own.size());
      };
      EXPECT_TRUE(same_bits(part(values), part(expected)));
      all.all_gather(values);
      EXPECT_TRUE(same_bits(values, expected));
    }
  }
}

/// The check above means something only if another order has other bits.
TEST(Ranks, TheOrderOfASumShowsInItsBits) {
  if (Ranks::all().size() < 3) return;  // a + b = b + a
  EXPECT_FALSE(
      same_bits(sum_of_all(1001, Wire::kF32), sum_of_all(1001, Wire::kF32, /*backwards=*/true)));
}

TEST(Ranks, ASumDoesNotDependOnHowItIsCutIntoCalls) {
  Communicator& all = Ranks::all();
  const auto reduced = [&](size_t piece) {
    std::vector<float> values = numbers_of(all.rank(), 1000);
    for (size_t begin = 0; begin < values.size(); begin += piece) {
      const auto part = std::span(values).subspan(begin, std::min(piece, values.size() - begin));
      all.reduce_scatter(part, Wire::kF32);
      all.all_gather(part);
    }
    return values;
  };
  EXPECT_TRUE(same_bits(reduced(1000), reduced(77)));
}

TEST(Ranks, NotANumberArrives) {
  Communicator& all = Ranks::all();
  for (const Wire wire : {Wire::kF32, Wire::kBF16}) {
    std::vector<float> values(10, 1.0f);
    if (all.rank() == all.size() - 1) values[9] = NAN;
    all.reduce_scatter(values, wire);
    all.all_gather(values);
    EXPECT_TRUE(std::isnan(values[9]));
    EXPECT_EQ(values[8], static_cast<float>(all.size()));
  }
}

TEST(Ranks, GatherKeepsTheOrderOfRanks) {
  Communicator& all = Ranks::all();
  const std::vector<double> own = {static_cast<double>(all.rank()), 0.1 * all.rank()};
  std::vector<double> table(own.size() * static_cast<size_t>(all.size()));
  all.gather(own, table);
  for (int rank = 0; rank < all.size(); ++rank) {
    EXPECT_EQ(table[2 * rank], rank);
    EXPECT_EQ(table[2 * rank + 1], 0.1 * rank);
  }
  all.barrier();
}

/// As in training: a second thread, while the first one computes.
TEST(Ranks, AnotherThreadMayCommunicate) {
  Communicator& all = Ranks::all();
  for (int turn = 0; turn < 20; ++turn) {
    std::vector<float> values(5000, 1.0f);
    std::thread([&] { all.reduce_scatter(values, Wire::kF32); }).join();
    all.all_gather(values);
    EXPECT_TRUE(std::ranges::all_of(values, [&](float v) { return v == 1.0f * all.size(); }));
  }
}

}  // namespace
}  // namespace evo::comm
