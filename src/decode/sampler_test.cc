#include "decode/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "decode/testing.h"

namespace evo {
namespace {

using testing::expect_distributed;

constexpr size_t kVocabulary = 5;
constexpr int kDraws = 40000;

// ------------------------------------------------------------------- distribution()

TEST(Distribution, GreedyIsAPointMassOnTheFirstOfTheBest) {
  const std::vector<float> logits = {0, 3, 3, 1};
  EXPECT_EQ(distribution(logits, {}), (std::vector<float>{0, 1, 0, 0}));
}

TEST(Distribution, IsTheSoftmaxOfTheTemperedLogits) {
  const std::vector<float> logits = {1, 0, -2};
  const std::vector<float> p = distribution(logits, {.temperature = 2});
  const double mass = std::exp(0.5) + 1 + std::exp(-1.0);
  // Two roundings of values below 1, to f32.
  EXPECT_NEAR(p[0], std::exp(0.5) / mass, 1.2e-7);
  EXPECT_NEAR(p[1], 1 / mass, 1.2e-7);
  EXPECT_NEAR(p[2], std::exp(-1.0) / mass, 1.2e-7);
}

TEST(Distribution, SurvivesExtremeLogits) {
  const float most = std::numeric_limits<float>::max();
  const std::vector<float> p = distribution(std::vector<float>{most, -most}, {.temperature = 1e-3});
  EXPECT_EQ(p, (std::vector<float>{1, 0}));
}

/// Logarithms of 0.1, 0.4, 0.2, 0.3.
std::vector<float> tenths() {
  return {std::log(0.1f), std::log(0.4f), std::log(0.2f), std::log(0.3f)};
}

void expect_of_tenths(const SamplerOptions& options, const std::vector<double>& expected) {
  const std::vector<float> p = distribution(tenths(), options);
  for (size_t i = 0; i < p.size(); ++i) {
    // Logits of magnitude below 4 are rounded to 1.2e-7; so are a few products.
    EXPECT_NEAR(p[i], expected[i], 1e-6) << "token " << i;
    EXPECT_EQ(p[i] == 0, expected[i] == 0) << "token " << i;
  }
}

TEST(Distribution, TopKKeepsTheLikeliest) {
  expect_of_tenths({.temperature = 1, .top_k = 2}, {0, 4.0 / 7, 0, 3.0 / 7});
  expect_of_tenths({.temperature = 1, .top_k = 4}, {0.1, 0.4, 0.2, 0.3});
  expect_of_tenths({.temperature = 1, .top_k = 9}, {0.1, 0.4, 0.2, 0.3});
}

TEST(Distribution, TopPKeepsTheSmallestSufficientSet) {
  expect_of_tenths({.temperature = 1, .top_p = 0.8}, {0, 4.0 / 9, 2.0 / 9, 3.0 / 9});
  expect_of_tenths({.temperature = 1, .top_p = 0.6}, {0, 4.0 / 7, 0, 3.0 / 7});
  expect_of_tenths({.temperature = 1, .top_p = 1e-9}, {0, 1, 0, 0});
  expect_of_tenths({.temperature = 1, .top_k = 1, .top_p = 0.8}, {0, 1, 0, 0});
  expect_of_tenths({.temperature = 1, .top_k = 3, .top_p = 0.6}, {0, 4.0 / 7, 0, 3.0 / 7});
}

TEST(Distribution, TiesKeepTheLowerId) {
  const std::vector<float> p =
      distribution(std::vector<float>{0, 0, 0, 0}, {.temperature = 1, .top_k = 2});
  EXPECT_EQ(p, (std::vector<float>{0.5f, 0.5f, 0, 0}));
}

TEST(Distribution, NanIsAnError) {
  const std::vector<float> logits = {0, std::numeric_limits<float>::quiet_NaN(), 1};
  EXPECT_THROW(distribution(logits, {}), Error);
  EXPECT_THROW(distribution(logits, {.temperature = 1}), Error);
}

TEST(SamplerOptions, OutOfRangeIsAUsageError) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (double temperature : {-0.1, 101.0, nan}) {
    EXPECT_THROW(validate({.temperature = temperature}), UsageError) << temperature;
  }
  EXPECT_THROW(validate({.top_k = -1}), UsageError);
  for (double top_p : {0.0, 1.1, nan}) EXPECT_THROW(validate({.top_p = top_p}), UsageError);
  EXPECT_NO_THROW(validate({.temperature = 100, .top_k = 3, .top_p = 0.5}));
}

// ------------------------------------------------------------------------- verify()

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

std::vector<float> toy_distribution(std::span<const int32_t> history, uint64_t seed) {
  return distribution(toy_logits(history, seed), {.temperature = 1});
}

/// A way to draft: the distribution of a draft after a history.
using Drafter = std::vector<float> (*)(std::span<const int32_t> history);

std::vector<float> draft_otherwise(std::span<const int32_t> history) {
  return toy_distribution(history, kDraftSeed);
}
std::vector<float> draft_rightly(std::span<const int32_t> history) {
  return toy_distribution(history, kModelSeed);
}
std::vector<float> draft_always_the_same(std::span<const int32_t>) {
  return {0, 0, 1, 0, 0};
}
std::vector<float> draft_some_only(std::span<const int32_t> history) {
  return distribution(toy_logits(history, kDraftSeed), {.temperature = 1, .top_k = 2});
}
std::vector<float> draft_too_surely(std::span<const int32_t> history) {
  return distribution(toy_logits(history, kModelSeed), {.temperature = 0.3});
}

/// Two drafts, verified, and completed to three tokens autoregressively.
std::vector<int32_t> speculate(Drafter drafter, double lenience, Random& random) {
  std::vector<Draft> drafts;
  std::vector<int32_t> history;
  std::vector<float> logits = toy_logits(history, kModelSeed);
  for (int i = 0; i < 2; ++i) {
    Draft draft;
    draft.q = drafter(history);
    draft.token = random.categorical(draft.q);
    history.push_back(draft.token);
    const std::vector<float> row = toy_logits(history, kModelSeed);
    logits.insert(logits.end(), row.begin(), row.end());
    drafts.push_back(std::move(draft));
  }
  const Verdict verdict = verify(drafts, logits, {.temperature = 1}, lenience, random);
  history.resize(static_cast<size_t>(verdict.accepted));
  history.push_back(verdict.next);
  while (history.size() < 3) {
    history.push_back(random.categorical(toy_distribution(history, kModelSeed)));
  }
  return history;
}

class EveryDrafter : public ::testing::TestWithParam<Drafter> {};

INSTANTIATE_TEST_SUITE_P(Verify, EveryDrafter,
                         ::testing::Values(&draft_otherwise, &draft_rightly, &draft_always_the_same,
                                           &draft_some_only, &draft_too_surely));

TEST_P(EveryDrafter, LeavesTheDistributionOfTheText) {
  std::vector<double> probabilities;
  for (int32_t a = 0; a < 5; ++a) {
    for (int32_t b = 0; b < 5; ++b) {
      const int32_t pair[] = {a, b};
      const double p = toy_distribution({}, kModelSeed)[static_cast<size_t>(a)] *
                       toy_distribution(std::span(pair, 1), kModelSeed)[static_cast<size_t>(b)];
      for (float last : toy_distribution(pair, kModelSeed)) probabilities.push_back(p * last);
    }
  }
  std::vector<double> counts(probabilities.size(), 0.0);
  Random random(3);
  for (int draw = 0; draw < kDraws; ++draw) {
    const std::vector<int32_t> text = speculate(GetParam(), 1, random);
    counts[static_cast<size_t>((text[0] * 5 + text[1]) * 5 + text[2])] += 1;
  }
  expect_distributed(counts, probabilities, 100);
}

/// One draft from q under lenience: the law of the first token, and how often it is the draft.
void expect_first_token(Drafter drafter, double lenience) {
  const std::vector<float> p = toy_distribution({}, kModelSeed), q = drafter({});
  const std::vector<float> logits = [] {
    std::vector<float> rows = toy_logits({}, kModelSeed);
    rows.resize(2 * kVocabulary, 0.0f);
    return rows;
  }();
  std::vector<double> kept(kVocabulary), left(kVocabulary), all(kVocabulary);
  double kept_mass = 0, left_mass = 0;
  for (size_t i = 0; i < kVocabulary; ++i) {
    kept_mass += kept[i] = std::min<double>(q[i], p[i] / lenience);
    left_mass += left[i] = std::max<double>(0, p[i] / lenience - q[i]);
  }
  for (size_t i = 0; i < kVocabulary; ++i) {
    left[i] /= left_mass;
    all[i] = kept[i] + (1 - kept_mass) * left[i];
    ASSERT_TRUE(all[i] <= p[i] / lenience + 1e-6) << "the promise of verify(), and roundings";
  }
  std::vector<double> first(kVocabulary, 0.0), corrected(kVocabulary, 0.0), outcome(2, 0.0);
  Random random(4);
  for (int draw = 0; draw < kDraws; ++draw) {
    const Draft draft{random.categorical(q), q};
    const Verdict verdict =
        verify(std::span(&draft, 1), logits, {.temperature = 1}, lenience, random);
    first[static_cast<size_t>(verdict.accepted > 0 ? draft.token : verdict.next)] += 1;
    if (verdict.accepted == 0) corrected[static_cast<size_t>(verdict.next)] += 1;
    outcome[static_cast<size_t>(verdict.accepted)] += 1;
  }
  expect_distributed(first, all, 5);
  expect_distributed(corrected, left, 2);
  expect_distributed(outcome, std::vector<double>{1 - kept_mass, kept_mass}, 2);
}

TEST(Verify, ARejectedDraftIsReplacedFromTheResidual) {
  expect_first_token(draft_otherwise, 1);
  expect_first_token(draft_some_only, 1);
  expect_first_token(draft_too_surely, 1);
}

TEST(Verify, LenienceAcceptsMoreWithinItsBound) {
  expect_first_token(draft_too_surely, 0.8);
  expect_first_token(draft_otherwise, 0.6);
}

TEST(Verify, GreedyAcceptsTheBestTokenAndCorrectsAnother) {
  const SamplerOptions greedy;
  const std::vector<float> logits = {0, 2, 1, /**/ 5, 0, 0, /**/ 0, 0, 3};
  std::vector<Draft> drafts = {{1, {0, 1, 0}}, {0, {1, 0, 0}}};
  Random random(1);
  Verdict verdict = verify(drafts, logits, greedy, 1, random);
  EXPECT_EQ(verdict.accepted, 2);
  EXPECT_EQ(verdict.next, 2);
  drafts[1] = {2, {0, 0, 1}};
  verdict = verify(drafts, logits, greedy, 1, random);
  EXPECT_EQ(verdict.accepted, 1);
  EXPECT_EQ(verdict.next, 0);
  drafts[0] = {0, {1, 0, 0}};  // a wrong one ends it, whatever comes behind
  verdict = verify(drafts, logits, greedy, 1, random);
  EXPECT_EQ(verdict.accepted, 0);
  EXPECT_EQ(verdict.next, 1);
  verdict = verify({}, std::span(logits).first(3), greedy, 1, random);
  EXPECT_EQ(verdict.accepted, 0);
  EXPECT_EQ(verdict.next, 1);
}

TEST(Verify, GreedyLenienceComparesProbabilitiesWithTheLargest) {
  // Token 1 has exp(-0.5) = 0.607 times the largest probability.
  const std::vector<float> logits = {1.0f, 0.5f, -1.0f, /**/ 0, 0, 1};
  const std::vector<Draft> drafts = {{1, {0, 1, 0}}};
  Random random(1);
  EXPECT_EQ(verify(drafts, logits, {}, 0.60, random).accepted, 1);
  const Verdict strict = verify(drafts, logits, {}, 0.61, random);
  EXPECT_EQ(strict.accepted, 0);
  EXPECT_EQ(strict.next, 0);
}

}  // namespace
}  // namespace evo
