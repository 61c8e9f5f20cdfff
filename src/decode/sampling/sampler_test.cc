#include "decode/sampling/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "decode/testing.h"

namespace evo::decode {
namespace {

using testing::expect_distributed;

constexpr size_t kVocabulary = 5;
constexpr int kDraws = 40000;

// -------------------------------------------------------------------------- choose()

/// How often each token is chosen, over positions; every other position has another seed.
std::vector<double> choices(std::span<const float> logits, const SamplerOptions& options) {
  std::vector<double> counts(logits.size(), 0.0);
  const Sampler samplers[] = {Sampler(options, 1), Sampler(options, 0x123456789ABCDEF0u)};
  for (int64_t draw = 0; draw < kDraws; ++draw) {
    counts[samplers[draw % 2].choose(logits, draw / 2)] += 1;
  }
  return counts;
}

std::vector<double> softmax(std::span<const float> logits, double temperature) {
  std::vector<double> p;
  double mass = 0;
  for (float logit : logits) mass += p.emplace_back(std::exp(logit / temperature));
  for (double& value : p) value /= mass;
  return p;
}

TEST(Sampler, GreedyTakesTheFirstOfTheBest) {
  const std::vector<float> logits = {0, 3, 3, 1};
  for (int64_t position : {0, 1, 2}) EXPECT_EQ(Sampler({}, 5).choose(logits, position), 1);
}

TEST(Sampler, DrawsFromTheTemperedSoftmax) {
  const std::vector<float> logits = {1, 0, -2, 0.5, -4};
  for (double temperature : {0.7, 1.0, 3.0}) {
    expect_distributed(choices(logits, {.temperature = temperature}), softmax(logits, temperature),
                       temperature < 1 ? 4 : 5);
  }
}

/// The shortcuts skip only tokens that cannot win: none beats the choice by its own score. A flat
/// and a steep distribution over a vocabulary that does not end with a block of random words.
TEST(Sampler, NoTokenHasAHigherScoreThanTheChoice) {
  std::vector<float> logits(1003);
  Random(8, 1).fill_normal(logits);
  for (double temperature : {0.05, 0.3, 1.0, 20.0}) {
    const Sampler sampler({.temperature = temperature}, 3);
    for (int64_t position = 0; position < 20; ++position) {
      for (int32_t token = 0; token < std::ssize(logits); ++token) {
        ASSERT_GE(sampler.regret(logits, position, token), 0) << temperature << ' ' << token;
      }
    }
  }
}

/// With the logits of some tokens only, it chooses as if the others could not be, at any
/// temperature: who drafts from few tokens must meet the noise that the model's own choice will
/// meet.
TEST(Sampler, OfSomeTokensAsIfOthersWereImpossible) {
  constexpr int32_t kTokens = 1003;
  std::vector<float> all(kTokens, -std::numeric_limits<float>::infinity()), some;
  std::vector<int32_t> tokens;
  Random random(9, 1);
  for (int32_t token = 2; token < kTokens; token += 1 + token % 4) {
    tokens.push_back(token);
    some.push_back(all[token] = random.normal());
  }
  for (double temperature : {0.0, 0.3, 1.0, 20.0}) {
    const Sampler sampler({.temperature = temperature}, 3);
    for (int64_t position = 0; position < 50; ++position) {
      ASSERT_EQ(sampler.choose(some, position, tokens), sampler.choose(all, position))
          << temperature << ' ' << position;
    }
  }
}

/// More tokens than a block of random words, and most of them hopeless most of the time.
TEST(Sampler, DrawsFromAWideVocabulary) {
  std::vector<float> logits(1003);
  Random(7, 1).fill_normal(logits);
  for (float& logit : logits) logit *= 4;
  expect_distributed(choices(logits, {.temperature = 1}), softmax(logits, 1), 60);
}

TEST(Sampler, PositionsAreIndependent) {
  const std::vector<float> logits = {0, 0};
  const Sampler sampler({.temperature = 1}, 3);
  std::vector<double> pairs(4, 0.0);
  for (int64_t position = 0; position < kDraws; position += 2) {
    const int32_t first = sampler.choose(logits, position);
    pairs[2 * first + sampler.choose(logits, position + 1)] += 1;
  }
  expect_distributed(pairs, std::vector<double>(4, 0.25), 4);
}

TEST(Sampler, IsAFunctionOfSeedAndPosition) {
  std::vector<float> logits(64);
  Random(7, 2).fill_normal(logits);
  int same = 0;
  for (int64_t position = 0; position < 100; ++position) {
    const int32_t first = Sampler({.temperature = 1}, 3).choose(logits, position);
    EXPECT_EQ(Sampler({.temperature = 1}, 3).choose(logits, position), first);
    same += Sampler({.temperature = 1}, 4).choose(logits, position) == first ? 1 : 0;
  }
  EXPECT_LT(same, 50);
}

TEST(Sampler, SurvivesExtremeLogits) {
  const float most = std::numeric_limits<float>::max();
  EXPECT_EQ(Sampler({.temperature = 1e-3}, 1).choose(std::vector<float>{most, -most}, 0), 0);
}

/// Logarithms of 0.1, 0.4, 0.2, 0.3.
std::vector<float> tenths() {
  return {std::log(0.1f), std::log(0.4f), std::log(0.2f), std::log(0.3f)};
}

void expect_of_tenths(const SamplerOptions& options, const std::vector<double>& expected) {
  const auto cells =
      static_cast<int>(std::ranges::count_if(expected, [](double p) { return p > 0; }));
  expect_distributed(choices(tenths(), options), expected, cells);
}

TEST(Sampler, TopKKeepsTheLikeliest) {
  expect_of_tenths({.temperature = 1, .top_k = 2}, {0, 4.0 / 7, 0, 3.0 / 7});
  expect_of_tenths({.temperature = 1, .top_k = 4}, {0.1, 0.4, 0.2, 0.3});
  expect_of_tenths({.temperature = 1, .top_k = 9}, {0.1, 0.4, 0.2, 0.3});
}

TEST(Sampler, TopPKeepsTheSmallestSufficientSet) {
  expect_of_tenths({.temperature = 1, .top_p = 0.8}, {0, 4.0 / 9, 2.0 / 9, 3.0 / 9});
  expect_of_tenths({.temperature = 1, .top_p = 0.6}, {0, 4.0 / 7, 0, 3.0 / 7});
  expect_of_tenths({.temperature = 1, .top_k = 3, .top_p = 0.6}, {0, 4.0 / 7, 0, 3.0 / 7});
  for (const SamplerOptions& one : {SamplerOptions{.temperature = 1, .top_p = 1e-9},
                                    SamplerOptions{.temperature = 1, .top_k = 1, .top_p = 0.8}}) {
    EXPECT_EQ(choices(tenths(), one)[1], kDraws);
  }
}

/// The kept set is found by sorting growing runs; here it is longer than the first.
TEST(Sampler, TopPKeepsManyTokensIfItTakesThem) {
  std::vector<float> logits(1000, 0.0f);
  for (size_t v = 500; v < 1000; ++v) logits[v] = -20;
  std::vector<double> expected(1000, 0.0);
  for (size_t v = 0; v < 400; ++v) expected[v] = 1.0 / 400;
  expect_distributed(choices(logits, {.temperature = 1, .top_p = 0.7999}), expected, 400);
}

TEST(Sampler, TiesKeepTheLowerId) {
  expect_distributed(choices(std::vector<float>{0, 0, 0, 0}, {.temperature = 1, .top_k = 2}),
                     std::vector<double>{0.5, 0.5, 0, 0}, 2);
}

TEST(Sampler, NanIsAnError) {
  const std::vector<float> logits = {0, std::numeric_limits<float>::quiet_NaN(), 1};
  EXPECT_THROW((void)Sampler({}, 1).choose(logits, 0), Error);
  EXPECT_THROW((void)Sampler({.temperature = 1}, 1).choose(logits, 0), Error);
}

TEST(SamplerOptions, OutOfRangeIsAUsageError) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (double temperature : {-0.1, 101.0, nan}) {
    EXPECT_THROW(validate({.temperature = temperature}), UsageError) << temperature;
  }
  EXPECT_THROW(validate({.top_k = -1}), UsageError);
  for (double top_p : {0.0, 1.1, nan}) EXPECT_THROW(validate({.top_p = top_p}), UsageError);
  EXPECT_NO_THROW(validate({.temperature = 100, .top_k = 3, .top_p = 0.5}));
  EXPECT_THROW(Sampler({.top_k = -1}, 1), UsageError);
}

// -------------------------------------------------------------------------- regret()

TEST(Sampler, RegretIsHowFarBehindTheChoiceATokenIs) {
  const std::vector<float> logits = {1.0f, 0.5f, -1.0f};
  const Sampler greedy({}, 1);
  EXPECT_EQ(greedy.regret(logits, 0, 0), 0);
  EXPECT_EQ(greedy.regret(logits, 0, 1), 0.5);
  EXPECT_EQ(greedy.regret(logits, 0, 2), 2);
  // Raising a token's logit by more than its regret, at this temperature, makes it the choice.
  const SamplerOptions options{.temperature = 2};
  for (int64_t position = 0; position < 50; ++position) {
    const Sampler sampler(options, 9);
    for (int32_t token = 0; token < 3; ++token) {
      const double regret = sampler.regret(logits, position, token);
      ASSERT_GE(regret, 0);
      for (double more : {-1e-3, 1e-3}) {
        std::vector<float> raised = logits;
        raised[token] += static_cast<float>(2 * (regret + more));
        if (regret + more < 0) continue;
        EXPECT_EQ(sampler.choose(raised, position) == token, more > 0) << position << ' ' << token;
      }
    }
  }
}

TEST(Sampler, ExcludedTokensCannotBeExcused) {
  const std::vector<float> logits = {1.0f, 0.5f, -1.0f};
  const Sampler sampler({.temperature = 1, .top_k = 2}, 1);
  EXPECT_EQ(sampler.regret(logits, 0, 2), std::numeric_limits<double>::infinity());
  EXPECT_LT(sampler.regret(logits, 0, 1), 100);
}

// -------------------------------------------------------------------------- verify()

constexpr uint64_t kModelSeed = 11, kDraftSeed = 12;

/// Logits after a history of any length: a function of its tokens.
std::vector<float> toy_logits(std::span<const int32_t> history, uint64_t seed) {
  uint64_t stream = 1;
  for (int32_t token : history) stream = stream * 7 + static_cast<uint64_t>(token) + 1;
  Random random(seed, stream);
  std::vector<float> logits(kVocabulary);
  random.fill_normal(logits);
  return logits;
}

/// Three tokens with drafts by a model of its own; `kept` counts accepted ones.
std::vector<int32_t> speculate(const Sampler& sampler, uint64_t drafter, int64_t& kept) {
  std::vector<int32_t> drafts;
  std::vector<float> logits = toy_logits(drafts, kModelSeed);
  for (int i = 0; i < 2; ++i) {
    drafts.push_back(sampler.choose(toy_logits(drafts, drafter), i));
    const std::vector<float> row = toy_logits(drafts, kModelSeed);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  const Verdict verdict = verify(drafts, logits, sampler, 0, 1);
  kept += verdict.accepted;
  drafts.resize(verdict.accepted);
  drafts.push_back(verdict.next);
  while (drafts.size() < 3) {
    drafts.push_back(sampler.choose(toy_logits(drafts, kModelSeed), std::ssize(drafts)));
  }
  return drafts;
}

TEST(Verify, TheTextDoesNotDependOnTheDrafts) {
  int64_t kept[2] = {};
  for (double temperature : {0.0, 0.8, 2.0}) {
    for (uint64_t seed = 0; seed < 2000; ++seed) {
      const Sampler sampler({.temperature = temperature}, seed);
      std::vector<int32_t> expected;
      for (int64_t i = 0; i < 3; ++i) {
        expected.push_back(sampler.choose(toy_logits(expected, kModelSeed), i));
      }
      ASSERT_EQ(speculate(sampler, kModelSeed, kept[0]), expected);
      ASSERT_EQ(speculate(sampler, kDraftSeed, kept[1]), expected);
    }
  }
  EXPECT_EQ(kept[0], 2 * 3 * 2000);  // by the model itself: always right
  EXPECT_GT(kept[1], 1000);
  EXPECT_LT(kept[1], 8000);
}

/// Drafts that need not give the same text for every draft could be kept with probability
/// sum min(p, q) at the most (Leviathan et al. 2023).
TEST(Verify, KeepsNearlyAsManyDraftsAsAnyLosslessRule) {
  constexpr int kTexts = 200, kPositions = 100;
  for (double distance : {0.2, 0.5, 1.0, 2.0}) {
    double kept = 0, possible = 0;
    for (uint64_t text = 0; text < kTexts; ++text) {
      std::vector<float> p(64), q(64);
      Random random(text, 3);
      random.fill_normal(p);
      for (size_t v = 0; v < p.size(); ++v) {
        p[v] *= 3;
        q[v] = p[v] + static_cast<float>(distance * random.normal());
      }
      const std::vector<double> p_mass = softmax(p, 1), q_mass = softmax(q, 1);
      for (size_t v = 0; v < p.size(); ++v) possible += kPositions * std::min(p_mass[v], q_mass[v]);
      const Sampler sampler({.temperature = 1}, text);
      for (int64_t position = 0; position < kPositions; ++position) {
        kept += sampler.choose(p, position) == sampler.choose(q, position) ? 1 : 0;
      }
    }
    const double drawn = kTexts * kPositions;
    // What the coupling guarantees, and five standard errors of the count.
    const double rejected = 1 - possible / drawn;
    EXPECT_GT(kept, drawn * (1 - rejected) / (1 + rejected) - 2.5 * std::sqrt(drawn)) << distance;
    EXPECT_GT(kept, 0.9 * possible) << distance;
    fmt::print("distance {}: {:.3f} kept, {:.3f} possible\n", distance, kept / drawn,
               possible / drawn);
  }
}

TEST(Verify, GreedyAcceptsTheBestTokenAndCorrectsAnother) {
  const Sampler greedy({}, 1);
  const std::vector<float> logits = {0, 2, 1, /**/ 5, 0, 0, /**/ 0, 0, 3};
  const auto verdict_of = [&](std::vector<int32_t> drafts) {
    return verify(drafts, std::span(logits).first(3 * (drafts.size() + 1)), greedy, 0, 1);
  };
  EXPECT_EQ(verdict_of({1, 0}).accepted, 2);
  EXPECT_EQ(verdict_of({1, 0}).next, 2);
  EXPECT_EQ(verdict_of({1, 2}).accepted, 1);
  EXPECT_EQ(verdict_of({1, 2}).next, 0);
  EXPECT_EQ(verdict_of({0, 0}).accepted, 0);  // a wrong one ends it, whatever comes behind
  EXPECT_EQ(verdict_of({0, 0}).next, 1);
  EXPECT_EQ(verdict_of({}).accepted, 0);
  EXPECT_EQ(verdict_of({}).next, 1);
}

TEST(Verify, LenienceComparesProbabilitiesWithTheChoice) {
  // Token 1 has exp(-0.5) = 0.607 times the largest probability.
  const std::vector<float> logits = {1.0f, 0.5f, -1.0f, /**/ 0, 0, 1};
  const int32_t drafts[] = {1};
  EXPECT_EQ(verify(drafts, logits, Sampler({}, 1), 0, 0.60).accepted, 1);
  const Verdict strict = verify(drafts, logits, Sampler({}, 1), 0, 0.61);
  EXPECT_EQ(strict.accepted, 0);
  EXPECT_EQ(strict.next, 0);
}

}  // namespace
}  // namespace evo::decode
