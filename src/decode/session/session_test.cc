#include "decode/session/session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/testing.h"
#include "decode/session/session_testing.h"

namespace evo::decode {
namespace {

using testing::expect_error;
using testing::finish;
using testing::generate_tokens;
using testing::kModes;
using testing::kNoEnd;
using testing::kTinyContext;
using testing::options_of;
using testing::random_prompt;
using testing::shared_decoder;
using testing::shared_model;
using testing::tiny_config;
using testing::tiny_model;
using testing::tokens_of;

// ------------------------------------------------------------------------- diffusion

/// From one pass to the next: what is ripe stays as it is; what is not keeps its latent until then.
void expect_ripens(const TokenTrace& before, const TokenTrace& after) {
  if (before.time < 1) {
    EXPECT_EQ(after.token, before.token);
    EXPECT_EQ(after.time, before.time);
  }
  EXPECT_EQ(after.latent == before.latent, after.time == before.time);
}

TEST(Session, DiffusionTakesAllItsStepsWhenNothingIsMature) {
  DecodeOptions options = options_of(Mode::kDiffusion, 8);
  options.window = 8;
  options.steps = 5;
  options.commit_maturity = 2;  // never early
  options.trace = true;
  Session session(shared_decoder(), options, Prompt::of_text(random_prompt(3, 4)), kNoEnd);
  const std::vector<PassTrace> passes = finish(session, options);
  ASSERT_EQ(passes.size(), 5u);
  EXPECT_EQ(session.generated().size(), 8u);
  const auto ripest = static_cast<float>(shared_model().time().min_time());
  for (size_t pass = 0; pass < 5; ++pass) {
    const std::vector<TokenTrace>& tokens = passes[pass].tokens;
    ASSERT_EQ(tokens.size(), 8u);
    const auto ripe = std::ranges::count(tokens, ripest, &TokenTrace::time);
    EXPECT_EQ(ripe, std::vector({0, 2, 4, 5, 7})[pass]);  // 8 pass / 5, rounded up
    EXPECT_EQ(std::ranges::count(tokens, 1.0f, &TokenTrace::time), 8 - ripe);
    EXPECT_EQ(passes[pass].committed.size(), pass < 4 ? 0u : 8u);
    for (size_t i = 0; pass > 0 && i < 8; ++i) expect_ripens(passes[pass - 1].tokens[i], tokens[i]);
  }
}

TEST(Session, DiffusionRipensTheSurestFirst) {
  DecodeOptions options = options_of(Mode::kDiffusion, 8);
  options.window = 8;
  options.steps = 2;
  options.commit_maturity = 2;
  options.trace = true;
  Session session(shared_decoder(), options, Prompt::of_text(random_prompt(3, 4)), kNoEnd);
  const std::vector<PassTrace> passes = finish(session, options);
  ASSERT_EQ(passes.size(), 2u);
  float least_ripe = 1, most_open = 0;
  for (size_t i = 0; i < 8; ++i) {
    const float maturity = passes[0].tokens[i].maturity;
    if (passes[1].tokens[i].time < 1) {
      least_ripe = std::min(least_ripe, maturity);
    } else {
      most_open = std::max(most_open, maturity);
    }
  }
  EXPECT_GT(most_open, 0);
  EXPECT_GE(least_ripe, most_open);
}

/// However sure a joint draft is of itself: it is no more mature than it is likely by itself, where
/// what was drafted before it is not known to be right.
TEST(Session, DiffusionIsNoSurerOfADraftThanItsOwnPosterior) {
  model::Model model = tiny_model(tiny_config(64), 4);
  // A maturity head that is always sure.
  const std::span<float> head = model.parameters().tensor("evo.maturity.weight").values();
  std::ranges::fill(head, 0.0f);
  head.back() = 30;
  const Decoder decoder(model);
  DecodeOptions options = options_of(Mode::kDiffusion, 8);
  options.window = 8;
  options.steps = 8;
  options.commit_maturity = 2;
  options.trace = true;
  Session session(decoder, options, Prompt::of_text(random_prompt(3, 4)), kNoEnd);
  const std::vector<PassTrace> passes = finish(session, options);
  ASSERT_EQ(passes.size(), 8u);
  std::set<float> maturities;
  for (const TokenTrace& token : passes[0].tokens) {
    EXPECT_GT(token.maturity, 0);
    EXPECT_LT(token.maturity, 0.999F);  // no posterior of this model is that sure
    maturities.insert(token.maturity);
  }
  EXPECT_EQ(maturities.size(), 8u);
}

TEST(Session, DiffusionRespectsTopK) {
  DecodeOptions greedy = options_of(Mode::kDiffusion, 16);
  DecodeOptions only_best = greedy;
  only_best.sampler = {.temperature = 1, .top_k = 1};
  const std::vector<int32_t> prompt = random_prompt(5, 4);
  EXPECT_EQ(generate_tokens(only_best, prompt), generate_tokens(greedy, prompt));
}

TEST(Session, DiffusionCommitsMatureTokensAtOnce) {
  DecodeOptions options = options_of(Mode::kDiffusion, 8);
  options.window = 8;
  options.commit_maturity = 0;
  Session session(shared_decoder(), options, Prompt::of_text(random_prompt(3, 4)), kNoEnd);
  EXPECT_EQ(session.step().committed.size(), 8u);
  EXPECT_TRUE(session.done());
}

TEST(Session, DiffusionEndsWhateverItsSettings) {
  for (int64_t steps : {1, 2, 7}) {
    for (int64_t window : {1, 3, 20}) {
      for (double maturity : {0.3, 0.9}) {
        DecodeOptions options = options_of(Mode::kDiffusion, 17);
        options.steps = steps;
        options.window = window;
        options.commit_maturity = maturity;
        options.sampler.temperature = 1;
        EXPECT_EQ(generate_tokens(options, random_prompt(3, 4)).size(), 17u);
      }
    }
  }
}

// ----------------------------------------------------------------------------- limits

TEST(Session, EndsWithMaxTokens) {
  const std::vector<int32_t> prompt = random_prompt(3, 4);
  const std::vector<int32_t> longest = generate_tokens(options_of(Mode::kAr, 20), prompt);
  for (Mode mode : kModes) {
    for (int64_t count : {0, 1, 2, 3, 5, 13}) {
      const auto tokens = generate_tokens(options_of(mode, count), prompt);
      ASSERT_EQ(std::ssize(tokens), count) << mode_name(mode);
      if (mode == Mode::kAr || mode == Mode::kExact) {
        EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), longest.begin())) << count;
      }
    }
  }
}

TEST(Session, EndsWithTheContext) {
  const std::vector<int32_t> prompt = random_prompt(4, kTinyContext - 7);
  const std::vector<int32_t> expected = generate_tokens(options_of(Mode::kAr, 1000), prompt);
  EXPECT_EQ(expected.size(), 7u);
  EXPECT_EQ(generate_tokens(options_of(Mode::kExact, 1000), prompt), expected);
  for (Mode mode : {Mode::kEvo, Mode::kDiffusion}) {
    DecodeOptions options = options_of(mode, 1000);
    options.window = 40;
    EXPECT_EQ(generate_tokens(options, prompt).size(), 7u) << mode_name(mode);
  }
}

TEST(Session, APromptThatFillsTheContextIsAnError) {
  const DecodeOptions options = options_of(Mode::kExact, 4);
  expect_error(
      [&] {
        Session(shared_decoder(), options, Prompt::of_text(random_prompt(1, kTinyContext)), kNoEnd);
      },
      {"128 tokens", "shorten"});
  EXPECT_EQ(generate_tokens(options, random_prompt(1, kTinyContext - 1)).size(), 1u);
}

TEST(Session, BadSamplerOptionsAreUsageErrors) {
  DecodeOptions options = options_of(Mode::kAr, 4);
  options.sampler.top_p = 0;
  expect_error<UsageError>(
      [&] { Session(shared_decoder(), options, Prompt::of_text(random_prompt(1, 3)), kNoEnd); },
      {"--top-p"});
}

TEST(Session, TheEndTokenEndsGreedyTextsWhereverItStands) {
  int64_t as_draft = 0, as_next = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const std::vector<int32_t> prompt = random_prompt(seed, 4);
    std::vector<int32_t> expected = generate_tokens(options_of(Mode::kAr, 16), prompt);
    const int32_t end = expected[seed % 16];
    expected.erase(std::ranges::find(expected, end), expected.end());
    EXPECT_EQ(generate_tokens(options_of(Mode::kAr, 16), prompt, end), expected);

    const DecodeOptions options = options_of(Mode::kExact, 16);
    Session session(shared_decoder(), options, Prompt::of_text(prompt), end);
    const PassTrace last = finish(session, options).back();
    EXPECT_TRUE(session.ended());
    EXPECT_EQ(tokens_of(session), expected) << seed;
    // The end is not committed: an accepted draft too many says that it was one.
    const bool drafted_end = last.accepted > std::ssize(last.committed);
    (drafted_end ? as_draft : as_next) += 1;
  }
  EXPECT_GT(as_draft, 5);
  EXPECT_GT(as_next, 5);
}

TEST(Session, TheEndTokenEndsDiffusion) {
  const std::vector<int32_t> prompt = random_prompt(6, 4);
  const DecodeOptions options = options_of(Mode::kDiffusion, 24);
  // Tokens before the end do not depend on what the end is, if the window is one token.
  DecodeOptions narrow = options;
  narrow.window = 1;
  std::vector<int32_t> expected = generate_tokens(narrow, prompt);
  const int32_t end = expected[9];
  expected.erase(std::ranges::find(expected, end), expected.end());
  Session session(shared_decoder(), narrow, Prompt::of_text(prompt), end);
  finish(session, narrow);
  EXPECT_TRUE(session.ended());
  EXPECT_EQ(tokens_of(session), expected);

  const int32_t first = generate_tokens(options, prompt).front();
  EXPECT_TRUE(generate_tokens(options, prompt, first).empty());
}

// ------------------------------------------------------------------------- the record

TEST(Session, EqualSeedsGiveEqualTexts) {
  for (Mode mode : kModes) {
    DecodeOptions options = options_of(mode, 12);
    options.sampler.temperature = 1;
    const std::vector<int32_t> prompt = random_prompt(1, 5);
    const auto first = generate_tokens(options, prompt);
    EXPECT_EQ(generate_tokens(options, prompt), first) << mode_name(mode);
    options.seed = 2;
    EXPECT_NE(generate_tokens(options, prompt), first) << mode_name(mode);
  }
}

void expect_token_trace(const TokenTrace& token, bool complete) {
  EXPECT_TRUE(token.token >= 0 && token.token < 64);
  EXPECT_TRUE(token.entropy >= 0 && token.entropy <= std::log(64.0f) + 1e-5f) << token.entropy;
  EXPECT_TRUE(token.maturity > 0 && token.maturity < 1) << token.maturity;
  EXPECT_TRUE(token.time > 0 && token.time <= 1) << token.time;
  EXPECT_EQ(token.latent.size(), complete ? 8u : 0u);
  EXPECT_EQ(token.top.size(), complete ? 5u : 0u);
  if (complete) {
    EXPECT_EQ(token.top.front(), token.token);  // greedy
  }
}

TEST(Session, TracesSayWhatPassesDid) {
  for (Mode mode : kModes) {
    for (bool complete : {false, true}) {
      SCOPED_TRACE(mode_name(mode));
      DecodeOptions options = options_of(mode, 20);
      options.trace = complete;
      const std::vector<int32_t> prompt = random_prompt(2, 5);
      Session session(shared_decoder(), options, Prompt::of_text(prompt), kNoEnd);
      std::vector<int32_t> committed;
      int64_t drafted = 0, accepted = 0, pending = 0, seen = 0;
      for (const PassTrace& pass : finish(session, options)) {
        EXPECT_EQ(pass.pass, seen++);
        const auto before = static_cast<int64_t>(prompt.size() + committed.size());
        committed.insert(committed.end(), pass.committed.begin(), pass.committed.end());
        drafted += pass.drafted;
        accepted += pass.accepted;
        const auto after = static_cast<int64_t>(prompt.size() + committed.size());
        // Diffusion shows its window as it was, the others the drafts for the coming pass.
        int64_t position = mode == Mode::kDiffusion ? before : after;
        for (const TokenTrace& token : pass.tokens) {
          EXPECT_EQ(token.position, position++);
          expect_token_trace(token, complete);
        }
        if (mode != Mode::kDiffusion) {
          EXPECT_EQ(pass.drafted, pending);
          pending = std::ssize(pass.tokens);
          EXPECT_EQ(std::ssize(pass.committed), pass.accepted + 1);
        }
      }
      EXPECT_EQ(committed, tokens_of(session));
      EXPECT_EQ(drafted, session.drafted());
      EXPECT_EQ(accepted, session.accepted());
      EXPECT_EQ(seen, session.passes());
      EXPECT_EQ(drafted > 0, mode == Mode::kExact || mode == Mode::kEvo);
    }
  }
}

TEST(Session, APromptReadInPassesOfOthersGivesTheSameText) {
  for (const Mode mode : kModes) {
    const DecodeOptions options = options_of(mode, 12);
    const Prompt prompt = Prompt::of_text(random_prompt(8, 30));
    Session other(shared_decoder(), options_of(Mode::kAr, 40), Prompt::of_text({1, 2}), kNoEnd);
    Session session(shared_decoder(), options, prompt, kNoEnd, PromptReading::kInPasses);
    EXPECT_EQ(session.unread(), 29);
    Session* const both[] = {&other, &session};
    for (int64_t rest = 29; rest > 0; rest = std::max<int64_t>(0, rest - 4)) {
      const std::vector<PassTrace> traces = Session::step_together(both, 4);
      EXPECT_FALSE(traces[0].reading);
      EXPECT_TRUE(traces[1].reading);
      EXPECT_EQ(traces[1].rows, std::min<int64_t>(4, rest));
      EXPECT_TRUE(session.generated().empty());
    }
    EXPECT_EQ(session.unread(), 0);
    EXPECT_EQ(session.passes(), 0);
    EXPECT_EQ(other.generated().size(), 8u);
    finish(session, options);
    EXPECT_EQ(tokens_of(session), generate_tokens(options, prompt.tokens)) << mode_name(mode);
  }
}

/// A model with room for more ids than its tokenizer has tokens, where chance would choose them.
TEST(Session, IdsWithoutATokenAreNeverChosen) {
  const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::from_merges({});
  const model::Model model = tiny_model(tiny_config(3 * tokenizer.vocab_size()), 4);
  const Decoder decoder(model, tokenizer);
  const auto has = [&](int32_t token) { return tokenizer.has(token); };
  for (const Mode mode : kModes) {
    for (const uint64_t seed : {1, 2, 3}) {
      DecodeOptions options = options_of(mode, 40);
      options.seed = seed;
      options.sampler.temperature = kMaxTemperature;
      options.trace = true;
      options.logprobs = mode == Mode::kDiffusion ? -1 : 20;
      Session session(decoder, options, Prompt::of_text({1, 2}), kNoEnd);
      for (const PassTrace& pass : finish(session, options)) {
        for (const TokenTrace& token : pass.tokens) {
          EXPECT_TRUE(has(token.token)) << mode_name(mode);
          EXPECT_TRUE(std::ranges::all_of(token.top, has)) << mode_name(mode);
        }
        for (const TokenLogprob& token : pass.logprobs) {
          EXPECT_TRUE(std::isfinite(token.logprob));
          for (const auto& [other, logprob] : token.top) EXPECT_TRUE(has(other));
        }
      }
      EXPECT_TRUE(std::ranges::all_of(session.generated(), has)) << mode_name(mode);
      EXPECT_EQ(session.generated().size(), 40u);
    }
  }
}

TEST(Session, AFaultOfOneIsNoneOfTheOthers) {
  const DecodeOptions options = options_of(Mode::kExact, 12);
  DecodeOptions wrong = options;
  wrong.shape.bias = {{9999, 1.0F}};
  const std::vector<int32_t> prompt = random_prompt(1, 5);
  Session good(shared_decoder(), options, Prompt::of_text(prompt), kNoEnd);
  Session bad(shared_decoder(), wrong, Prompt::of_text(prompt), kNoEnd);
  Session* const both[] = {&bad, &good};
  std::vector<std::string> faults;
  (void)Session::step_together(both, Session::kPromptRows, &faults);
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_NE(faults[0].find("9999"), std::string::npos);
  EXPECT_EQ(faults[1], "");
  finish(good, options);
  EXPECT_EQ(tokens_of(good), generate_tokens(options, prompt));
  Session alone(shared_decoder(), wrong, Prompt::of_text(prompt), kNoEnd);
  expect_error([&] { (void)alone.step(); }, {"9999"});
}

TEST(Session, ModelWithoutFlowOnlyDecodesAutoregressively) {
  model::ModelConfig config = tiny_config(64);
  config.flow = false;
  const model::Model model = tiny_model(config, 1);
  const std::vector<int32_t> prompt = {1, 2};
  const Decoder decoder(model);
  expect_error(
      [&] { Session(decoder, options_of(Mode::kExact, 4), Prompt::of_text(prompt), kNoEnd); },
      {"--mode ar"});
  EXPECT_EQ(generate_tokens(options_of(Mode::kAr, 4), prompt, kNoEnd, model).size(), 4u);
}

TEST(Mode, NamesRoundTrip) {
  for (Mode mode : kModes) EXPECT_EQ(parse_mode(mode_name(mode)), mode);
  EXPECT_THROW((void)parse_mode("fast"), UsageError);
}

}  // namespace
}  // namespace evo::decode
