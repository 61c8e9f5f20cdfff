#include "ops/gumbel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "base/random.h"

namespace evo::ops {
namespace {

const GumbelNoise kNoise{{7, 0xFFFFFFF1u}, 0x123456789ABCDEFu};

std::vector<float> random_logits(int64_t size) {
  std::vector<float> logits(static_cast<size_t>(size));
  Random(3, static_cast<uint64_t>(size)).fill_normal(logits);
  logits[0] = -std::numeric_limits<float>::infinity();
  return logits;
}

/// Of the tokens 0 to size - 1, or of some others: returns how many reach the score and how many
/// are found; none that reaches it may be missing, and the bits are those of the token.
std::pair<size_t, size_t> count(int64_t size, std::span<const int32_t> tokens, double temperature,
                                double score) {
  const std::vector<float> logits = random_logits(size);
  const auto found = gumbel_candidates(kNoise, logits, tokens, temperature, score);
  size_t next = 0, reach = 0;
  for (int64_t i = 0; i < size; ++i) {
    const auto at = static_cast<size_t>(i);
    const uint32_t bits = kNoise.bits(tokens.empty() ? i : tokens[at]);
    const bool reaches = logits[at] / temperature + gumbel(bits) >= score;
    reach += reaches ? 1 : 0;
    const bool is_found = next < found.size() && found[next].index == i;
    EXPECT_TRUE(is_found || !reaches) << size << ' ' << temperature << ' ' << i;
    EXPECT_TRUE(!is_found || found[next].bits == bits) << size << ' ' << i;
    next += is_found ? 1 : 0;
  }
  EXPECT_EQ(next, found.size());
  return {reach, found.size()};
}

/// Lengths that are no multiple of a vector or of a block. The bound of the noise is at most
/// 2 log 2 above it where it is large, which lets four times as many through; 20 are chance.
TEST(Gumbel, CandidatesAreThoseThatReachTheScore) {
  for (const int64_t size : {1, 3, 4, 31, 33, 1003}) {
    std::vector<int32_t> some;
    for (int64_t i = 0; i < size; ++i) some.push_back(static_cast<int32_t>(3 * i + i % 3));
    for (const double temperature : {0.05, 1.0, 90.0}) {
      for (const double score : {-1.0, 3.0, 8.0}) {
        count(size, some, temperature, score);
        const auto [reach, found] = count(size, {}, temperature, score);
        EXPECT_TRUE(score < 3 || found <= 4 * reach + 20) << reach << ' ' << found;
      }
    }
  }
}

/// The rarest bits: all ones have the largest noise there is, all zeros the least.
TEST(Gumbel, IsFiniteForAllBits) {
  const double least = 33 * std::numbers::ln2;  // -log(2^-33)
  EXPECT_NEAR(gumbel(0), -std::log(least), 1e-9);
  EXPECT_NEAR(gumbel(0xFFFFFFFFu), least, 1e-9);
  EXPECT_LT(gumbel(0xFFFFFFFFu), 22.9);
}

}  // namespace
}  // namespace evo::ops
