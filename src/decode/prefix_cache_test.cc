#include "decode/prefix_cache.h"

#include <gtest/gtest.h>

#include "decode/session/session_testing.h"

namespace evo::decode {
namespace {

using testing::finish;
using testing::generate_tokens;
using testing::kNoEnd;
using testing::kTinyContext;
using testing::options_of;
using testing::random_prompt;
using testing::shared_decoder;
using testing::shared_model;
using testing::tokens_of;

std::shared_ptr<model::KvPool> pool_of(int64_t sequences) {
  return std::make_shared<model::KvPool>(shared_model().config(), sequences * kTinyContext);
}

/// Generates after `prompt` with what `prefixes` knows; returns how many tokens it knew.
int64_t generate_with(PrefixCache& prefixes, const DecodeOptions& options,
                      const std::vector<int32_t>& prompt, std::vector<int32_t>& generated) {
  const Prompt full = Prompt::of_text(prompt);
  Session session(shared_decoder(), options, full, kNoEnd, PromptReading::kAtOnce,
                  prefixes.find(full));
  const int64_t known = session.known();
  finish(session, options);
  generated = tokens_of(session);
  prefixes.keep(session);
  return known;
}

TEST(PrefixCache, ATextThatGoesOnIsNotReadAgainAndComesOutTheSame) {
  for (const Mode mode : testing::kModes) {
    const DecodeOptions options = options_of(mode, 6);
    PrefixCache prefixes(pool_of(8));
    std::vector<int32_t> text = random_prompt(1, 9), generated;
    int64_t read = 0;
    for (int turn = 0; turn < 4; ++turn) {
      const int64_t known = generate_with(prefixes, options, text, generated);
      EXPECT_EQ(generated, generate_tokens(options, text)) << mode_name(mode) << turn;
      if (turn == 0) {
        EXPECT_EQ(known, 0);
      } else {  // its last tokens may not have been through a pass
        EXPECT_GE(known, read);
        EXPECT_LT(known, std::ssize(text));
      }
      read = std::ssize(text) - 1;
      text.insert(text.end(), generated.begin(), generated.end());
      const std::vector<int32_t> more = random_prompt(2 + static_cast<uint64_t>(turn), 3);
      text.insert(text.end(), more.begin(), more.end());
    }
    EXPECT_EQ(prefixes.blocks(),
              (read + 6 + ops::kCacheBlock - 1) / ops::kCacheBlock);  // one entry
  }
}

TEST(PrefixCache, FindsTheLongestCommonBeginning) {
  PrefixCache prefixes(pool_of(8));
  const DecodeOptions options = options_of(Mode::kExact, 4);
  std::vector<int32_t> a = random_prompt(1, 20), generated;
  std::vector<int32_t> b = a;
  b[12] = (b[12] + 1) % 3;
  std::vector<int32_t> c = b;
  c[17] = (c[17] + 1) % 3;
  EXPECT_EQ(generate_with(prefixes, options, a, generated), 0);
  EXPECT_EQ(generate_with(prefixes, options, b, generated), 12);
  EXPECT_EQ(generate_with(prefixes, options, c, generated), 17);
  EXPECT_EQ(generated, generate_tokens(options, c));
  EXPECT_EQ(generate_with(prefixes, options, a, generated), 19);  // its last token is always read
  EXPECT_EQ(generated, generate_tokens(options, a));
}

TEST(PrefixCache, ForgetsWhatWasNotUsedForTheLongestTime) {
  PrefixCache prefixes(pool_of(8));
  const DecodeOptions options = options_of(Mode::kAr, 4);
  std::vector<std::vector<int32_t>> texts;
  std::vector<int32_t> generated;
  for (int32_t i = 0; i < 3; ++i) {
    texts.push_back(random_prompt(7, 20));
    texts.back()[0] = i;
    EXPECT_EQ(generate_with(prefixes, options, texts.back(), generated), 0);
  }
  EXPECT_EQ(generate_with(prefixes, options, texts[0], generated), 19);
  const int64_t each = prefixes.blocks() / 3;
  prefixes.shrink(2 * each);
  EXPECT_EQ(prefixes.find(Prompt::of_text(texts[1])).length(), 0);
  EXPECT_EQ(prefixes.find(Prompt::of_text(texts[0])).length(), 19);
  EXPECT_EQ(prefixes.find(Prompt::of_text(texts[2])).length(), 19);
  prefixes.shrink(0);
  EXPECT_EQ(prefixes.blocks(), 0);
  EXPECT_EQ(prefixes.find(Prompt::of_text(texts[0])).length(), 0);
}

TEST(PrefixCache, ForgetsWhatWasNotUsedSinceATime) {
  PrefixCache prefixes(pool_of(8));
  const DecodeOptions options = options_of(Mode::kAr, 4);
  std::vector<int32_t> old = random_prompt(7, 20), found = old, last = old, generated;
  found[0] = (old[0] + 1) % 3;
  last[0] = (old[0] + 2) % 3;
  generate_with(prefixes, options, old, generated);
  generate_with(prefixes, options, found, generated);
  const auto then = PrefixCache::Clock::now();
  EXPECT_EQ(prefixes.find(Prompt::of_text(found)).length(), 19);
  generate_with(prefixes, options, last, generated);
  const int64_t each = prefixes.blocks() / 3;
  EXPECT_EQ(prefixes.latest_blocks(), each);
  prefixes.forget_unused_since(then);
  EXPECT_EQ(prefixes.blocks(), 2 * each);
  EXPECT_EQ(prefixes.find(Prompt::of_text(old)).length(), 0);
  EXPECT_EQ(prefixes.find(Prompt::of_text(found)).length(), 19);
  prefixes.forget_unused_since(PrefixCache::Clock::now());
  EXPECT_EQ(prefixes.blocks(), 0);
  EXPECT_EQ(prefixes.latest_blocks(), 0);
}

TEST(PrefixCache, AGapHasItsTokensInOtherPlacesAndIsNotMistakenForAText) {
  PrefixCache prefixes(pool_of(8));
  const DecodeOptions options = options_of(Mode::kAr, 4);
  std::vector<int32_t> text = random_prompt(3, 12), generated;
  generate_with(prefixes, options, text, generated);
  const std::vector<int32_t> suffix(text.begin() + 6, text.end());
  const Prompt gap = Prompt::of_gap({text.begin(), text.begin() + 6}, suffix, 4);
  EXPECT_EQ(prefixes.find(gap).length(), 0);
  Session session(shared_decoder(), options, gap, kNoEnd, PromptReading::kAtOnce,
                  prefixes.find(gap));
  finish(session, options);
  const int64_t before = prefixes.blocks();
  prefixes.keep(session);
  EXPECT_EQ(prefixes.blocks(), before);
}

}  // namespace
}  // namespace evo::decode
