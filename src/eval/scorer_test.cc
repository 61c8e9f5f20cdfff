#include "eval/scorer.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "decode/testing.h"

namespace evo::eval {
namespace {

using testing::expect_error;
using testing::next_logits;
using testing::tiny_config;

const model::Model& scored_model() {
  static const model::Model model = testing::tiny_model(tiny_config(64), 2);
  return model;
}

using Text = std::vector<int32_t>;

Text random_text(uint64_t seed, size_t count) {
  Random random(seed, 6);
  Text text(count);
  for (int32_t& token : text) token = static_cast<int32_t>(random.below(64));
  return text;
}

Text joined(Text a, const Text& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// The token's nats after `text`, and whether it is the likeliest.
std::pair<double, bool> plain_score(const Text& text, int32_t token) {
  const std::vector<float> logits = next_logits(scored_model(), text);
  double mass = 0;
  for (const float logit : logits) mass += std::exp(static_cast<double>(logit));
  const auto best = std::ranges::max_element(logits) - logits.begin();
  return {std::log(mass) - static_cast<double>(logits[token]), best == token};
}

// Logits are below 16 in magnitude, which f32 rounds by up to 5e-7, twice.
constexpr double kRounding = 2e-6;

void expect_plain_scores(std::span<const std::pair<Text, Text>> pairs) {
  std::vector<ScoreRequest> requests;
  for (const auto& [context, continuation] : pairs) requests.push_back({context, continuation});
  const std::vector<TokenScores> scores = Scorer(scored_model(), {}).score(requests, 1);
  ASSERT_EQ(scores.size(), pairs.size());
  for (size_t i = 0; i < pairs.size(); ++i) {
    Text text = pairs[i].first;
    bool greedy = true;
    ASSERT_EQ(scores[i].nats.size(), pairs[i].second.size());
    for (size_t j = 0; j < pairs[i].second.size(); ++j) {
      const auto [nats, best] = plain_score(text, pairs[i].second[j]);
      EXPECT_NEAR(scores[i].nats[j], nats, kRounding) << i << ' ' << j;
      greedy = greedy && best;
      text.push_back(pairs[i].second[j]);
    }
    EXPECT_EQ(scores[i].greedy, greedy) << i;
  }
}

TEST(Scorer, ScoresAsIfEachTextWereAlone) {
  const Text common = random_text(1, 20), question = random_text(2, 5);
  std::vector<std::pair<Text, Text>> pairs;
  for (uint64_t i = 0; i < 4; ++i) pairs.emplace_back(common, random_text(10 + i, 1));
  for (uint64_t i = 0; i < 4; ++i) {
    pairs.emplace_back(joined(common, question), random_text(20 + i, 3 + i));
  }
  pairs.emplace_back(random_text(3, 1), random_text(4, 9));
  pairs.emplace_back(common, common);  // a text that another one's context begins with
  expect_plain_scores(pairs);
}

TEST(Scorer, KnowsTheGreedyContinuation) {
  Text context = random_text(1, 6), continuation;
  for (int i = 0; i < 3; ++i) {
    const std::vector<float> logits = next_logits(scored_model(), joined(context, continuation));
    continuation.push_back(static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
  }
  Text other = continuation;
  other[1] = (other[1] + 1) % 64;
  const ScoreRequest requests[] = {{context, continuation}, {context, other}};
  const auto scores = Scorer(scored_model(), {}).score(requests, 1);
  EXPECT_TRUE(scores[0].greedy);
  EXPECT_FALSE(scores[1].greedy);
}

TEST(SharedRows, WhatTextsBeginWithComesOnce) {
  const Text common = random_text(1, 30);
  std::vector<Text> texts;
  for (int32_t i = 0; i < 5; ++i) texts.push_back(joined(common, {i, i, i}));
  texts.push_back({63, 62});
  const SharedRows rows(texts, true);
  EXPECT_EQ(rows.input().mature(), 30 + 5 * 3 + 2);
  for (size_t t = 0; t < texts.size(); ++t) {
    for (size_t i = 0; i < texts[t].size(); ++i) {
      const auto row = static_cast<size_t>(rows.row(t, static_cast<int64_t>(i)));
      EXPECT_EQ(rows.input().ids[row], texts[t][i]);
      EXPECT_EQ(rows.input().positions[row], static_cast<int32_t>(i));
    }
  }
  EXPECT_EQ(SharedRows(texts, false).input().mature(), 5 * 33 + 2);
}

TEST(SharedRows, AGroupEndsWhereSharingLessWouldCostMore) {
  const Text a = random_text(1, 30), b = random_text(2, 30);
  const Text first = joined({7}, a), second = joined({7}, b);
  // Three share 31 tokens; taking in those that share one with them would give that up.
  const std::vector<Text> texts = {joined(first, {1}),  joined(first, {2}),  joined(first, {3}),
                                   joined(second, {1}), joined(second, {2}), joined(second, {3})};
  EXPECT_EQ(SharedRows(texts, true).input().mature(), 2 * (31 + 3));
}

// ------------------------------------------------------------------------------ bounds

TEST(Scorer, BoundsAreDeterministicInSeedAndStream) {
  const Text context = random_text(1, 9), continuation = random_text(2, 7);
  const ScoreRequest request{context, continuation};
  const auto total = [&](uint64_t seed, uint64_t stream) {
    ScoreOptions options;
    options.path = flow::parse_path("block:3");
    options.seed = seed;
    return Scorer(scored_model(), options).score(std::span(&request, 1), stream)[0].total();
  };
  EXPECT_EQ(total(1, 2), total(1, 2));
  EXPECT_NE(total(1, 2), total(2, 2));
  EXPECT_NE(total(1, 2), total(1, 3));
}

TEST(Scorer, BoundsNeedTheFlow) {
  model::ModelConfig config = tiny_config(64);
  config.flow = false;
  const model::Model model = testing::tiny_model(config, 2);
  ScoreOptions options;
  options.path = flow::parse_path("diagonal");
  expect_error([&] { Scorer(model, options); }, {"no evolving stream", "path ar"});
}

}  // namespace
}  // namespace evo::eval
