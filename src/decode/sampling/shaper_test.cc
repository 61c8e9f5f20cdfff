#include "decode/sampling/shaper.h"

#include <gtest/gtest.h>

#include <set>

#include "decode/generate.h"
#include "decode/session/session_testing.h"

namespace evo::decode {
namespace {

using testing::finish;
using testing::generate_tokens;
using testing::kNoEnd;
using testing::options_of;
using testing::random_prompt;
using testing::shared_decoder;
using testing::tokens_of;

TEST(Shaper, AddsBiasesAndTakesPenaltiesOfWhatWasGenerated) {
  Shaper shaper(
      {.bias = {{2, 1.5f}, {0, -3.0f}}, .presence_penalty = 0.5, .frequency_penalty = 0.25});
  for (const int32_t token : {1, 3, 1, 1}) shaper.advance(token);
  std::vector<float> storage;
  const std::vector<float> logits = {1, 2, 3, 4};
  const auto shaped = shaper.shape(logits, storage);
  EXPECT_EQ(std::vector(shaped.begin(), shaped.end()),
            std::vector<float>({1 - 3, 2 - 0.5 - 3 * 0.25, 3 + 1.5, 4 - 0.5 - 0.25}));
}

/// As transformers: once for each token of prompt and text, whatever its sign.
TEST(Shaper, RepetitionCountsThePrompt) {
  const std::vector<int32_t> prompt = {3, 0, 3};
  Shaper shaper({.bias = {{1, 1.0f}}, .repetition_penalty = 2}, prompt);
  for (const int32_t token : {1, 3, 1}) shaper.advance(token);
  std::vector<float> storage;
  const std::vector<float> logits = {1, 2, 3, -4};
  const auto shaped = shaper.shape(logits, storage);
  EXPECT_EQ(std::vector(shaped.begin(), shaped.end()),
            std::vector<float>({0.5, (2 + 1) / 2.0f, 3, -8}));
}

TEST(Shaper, WithoutOptionsNothingIsCopied) {
  Shaper shaper;
  shaper.advance(0);
  std::vector<float> storage;
  const std::vector<float> logits = {1, 2};
  EXPECT_EQ(shaper.shape(logits, storage).data(), logits.data());
}

/// Drafts see what their predecessors, drafts too, do to the logits, and verification does.
TEST(Shaper, ExactGivesTheAutoregressiveTokensUnderPenalties) {
  int64_t accepted = 0, rejected = 0, different = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const std::vector<int32_t> prompt = random_prompt(seed, 1 + seed % 9);
    DecodeOptions options = options_of(Mode::kAr, 16);
    options.sampler.temperature = seed % 2 == 0 ? 0 : 0.8;
    options.seed = seed;
    const std::vector<int32_t> plain = generate_tokens(options, prompt);
    options.shape = {.bias = {{5, -1.0f}},
                     .presence_penalty = 0.5,
                     .frequency_penalty = 0.4,
                     .repetition_penalty = 1.1};
    const std::vector<int32_t> expected = generate_tokens(options, prompt);
    different += plain != expected ? 1 : 0;
    options.mode = Mode::kExact;
    Session exact(shared_decoder(), options, Prompt::of_text(prompt), kNoEnd);
    for (const PassTrace& pass : finish(exact, options)) {
      accepted += pass.accepted;
      rejected += pass.accepted < pass.drafted ? 1 : 0;
    }
    ASSERT_EQ(tokens_of(exact), expected) << "prompt " << seed;
  }
  // Else this tests nothing.
  EXPECT_GT(accepted, 100);
  EXPECT_GT(rejected, 100);
  EXPECT_GT(different, 50);
}

/// A grammar leaves few tokens, of which the tiny model drafts some and gets some wrong.
TEST(Shaper, ExactGivesTheAutoregressiveTokensUnderAGrammar) {
  const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::from_merges({});
  const model::Model model = testing::tiny_model(testing::tiny_config(tokenizer.vocab_size()), 4);
  const Decoder decoder(model);
  const grammar::GrammarState grammar(grammar::Grammar::json_object(),
                                      std::make_shared<grammar::TokenTrie>(tokenizer));
  int64_t accepted = 0, rejected = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    DecodeOptions options = options_of(Mode::kAr, 40);
    options.sampler.temperature = 1;
    options.seed = seed;
    options.shape.grammar = grammar;
    const Prompt prompt = text_prompt(tokenizer, "x");
    Session ar(decoder, options, prompt, tokenizer.end_of_text());
    finish(ar, options);
    options.mode = Mode::kExact;
    Session exact(decoder, options, prompt, tokenizer.end_of_text());
    for (const PassTrace& pass : finish(exact, options)) {
      accepted += pass.accepted;
      rejected += pass.accepted < pass.drafted ? 1 : 0;
    }
    ASSERT_EQ(tokens_of(exact), tokens_of(ar)) << seed;
    grammar::GrammarState check = grammar;
    for (const int32_t token : tokens_of(ar)) ASSERT_TRUE(check.advance(token));
    EXPECT_TRUE(check.complete() || tokens_of(ar).size() == 40);
  }
  EXPECT_GT(accepted, 20);
  EXPECT_GT(rejected, 20);
}

TEST(Shaper, ALargePenaltyLeavesNoTokenTwiceInAnyMode) {
  for (const Mode mode : testing::kModes) {
    DecodeOptions options = options_of(mode, 12);
    options.shape.presence_penalty = 1000;
    options.balance = 0.3;
    const std::vector<int32_t> tokens = generate_tokens(options, random_prompt(3, 4));
    const std::set<int32_t> different(tokens.begin(), tokens.end());
    EXPECT_EQ(different.size(), tokens.size()) << mode_name(mode);
  }
}

}  // namespace
}  // namespace evo::decode
