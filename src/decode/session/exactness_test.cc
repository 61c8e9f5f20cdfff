// That `exact` is the autoregressive model's text, and what leads there: drafts and their
// verification.
#include "decode/session/session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "decode/session/session_testing.h"
#include "ops/testing/testing.h"

namespace evo::decode {
namespace {

using testing::finish;
using testing::generate_tokens;
using testing::kNoEnd;
using testing::options_of;
using testing::random_prompt;
using testing::shared_decoder;
using testing::shared_model;
using testing::tiny_config;
using testing::tiny_model;
using testing::tokens_of;

// ------------------------------------------------------------------ exact is lossless

TEST(Session, GreedyExactGivesTheAutoregressiveTokens) {
  int64_t accepted = 0, rejected = 0, short_drafts = 0;
  std::vector<std::vector<int32_t>> texts;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const std::vector<int32_t> prompt = random_prompt(seed, 1 + seed % 20);
    texts.push_back(generate_tokens(options_of(Mode::kAr, 16), prompt));
    DecodeOptions options = options_of(Mode::kExact, 16);
    if (seed % 2 == 1) options.draft_threshold = 0.2;  // then maturity decides on lengths
    Session exact(shared_decoder(), options, Prompt::of_text(prompt), kNoEnd);
    for (const PassTrace& pass : finish(exact, options)) {
      accepted += pass.accepted;
      rejected += pass.accepted < pass.drafted ? 1 : 0;
      short_drafts += pass.drafted > 0 && pass.drafted < 3 ? 1 : 0;
    }
    ASSERT_EQ(tokens_of(exact), texts.back()) << "prompt " << seed;
  }
  // Else this tests nothing.
  EXPECT_GT(accepted, 400);
  EXPECT_GT(rejected, 400);
  EXPECT_GT(short_drafts, 200);
  std::ranges::sort(texts);
  EXPECT_GT(std::ranges::unique(texts).begin() - texts.begin(), 100);
}

TEST(Backends, TheReferenceWritesTheSameTexts) {
  for (const Mode mode : testing::kModes) {
    std::vector<std::vector<int32_t>> texts;
    for (const std::string& name : ops::backend_names()) {
      const testing::BackendInTest in_use(name);
      const model::Model model = tiny_model(tiny_config(64), 4);
      const Decoder decoder(model);
      std::vector<int32_t>& text = texts.emplace_back();
      for (uint64_t seed = 0; seed < 5; ++seed) {
        const DecodeOptions options = options_of(mode, 12);
        Session session(decoder, options, Prompt::of_text(random_prompt(seed, 1 + seed * 20)),
                        kNoEnd);
        finish(session, options);
        const std::vector<int32_t> tokens = tokens_of(session);
        text.insert(text.end(), tokens.begin(), tokens.end());
      }
    }
    for (const auto& text : texts) EXPECT_EQ(text, texts[0]) << mode_name(mode);
  }
}

/// Whatever the drafts are made from, and whenever a window's are followed by others without one;
/// at every precision, so with every kernel that decoding multiplies with on this CPU, and in
/// every format of the cache.
TEST(Session, GreedyExactGivesTheAutoregressiveTokensWithDraftsAhead) {
  model::ModelConfig config = tiny_config(64);
  config.ahead_size = config.hidden_size;
  config.window_places = 4;
  model::Model model = tiny_model(config, 4);
  int64_t accepted = 0, rejected = 0, without_window = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    constexpr std::array kPrecisions = {tensor::Precision::kF32, tensor::Precision::kBF16,
                                        tensor::Precision::kInt8, tensor::Precision::kQ8,
                                        tensor::Precision::kQ4};
    if (seed % 30 == 0) model.pack(kPrecisions[seed / 30]);
    constexpr std::array kCaches = {ops::CacheFormat::kF32, ops::CacheFormat::kBF16,
                                    ops::CacheFormat::kQ8};
    model.set_cache_format(kCaches[seed / 2 % 3]);
    const Decoder decoder(model, seed % 2 == 0);
    const std::vector<int32_t> prompt = random_prompt(seed, 1 + seed % 20);
    DecodeOptions options = options_of(Mode::kAr, 40);
    options.sampler.temperature = seed % 5 == 0 ? 0.7 : 0;
    options.seed = seed;
    const auto expected = generate_tokens(options, prompt, kNoEnd, model);
    options.mode = Mode::kExact;
    options.window = seed % 3 == 0 ? 3 : 0;  // 0: as the policy has it
    Session exact(decoder, options, Prompt::of_text(prompt), kNoEnd);
    for (const PassTrace& pass : finish(exact, options)) {
      accepted += pass.accepted;
      rejected += pass.accepted < pass.drafted ? 1 : 0;
      without_window += pass.drafted > 0 && pass.rows == 1 + pass.drafted ? 1 : 0;
    }
    ASSERT_EQ(tokens_of(exact), expected) << "prompt " << seed;
  }
  // Else this tests nothing.
  EXPECT_GT(accepted, 50);
  EXPECT_GT(rejected, 50);
  EXPECT_GT(without_window, 20);
}

/// Draws the first three tokens of many sessions and compares them with the enumeration of the
/// autoregressive distribution: 125 continuations. The first pass has no drafts, so the second
/// token is the first that can be an accepted draft; the third can be drafted anew after a
/// rejection. Temperatures are high, so that nearly all continuations are frequent enough to judge.
void expect_exact_sampling(const SamplerOptions& sampler, int32_t end, int cells) {
  constexpr size_t kFewTokens = 5;
  constexpr uint64_t kTexts = 5000;
  static const model::Model model = tiny_model(tiny_config(kFewTokens), 3);
  static const Decoder decoder(model);
  const std::vector<int32_t> prompt = {1, 3};
  std::vector<double> counts(125, 0.0);
  DecodeOptions options = options_of(Mode::kExact, 5);
  options.sampler = sampler;
  int64_t accepted = 0, rejected = 0;
  for (options.seed = 0; options.seed < kTexts; ++options.seed) {
    options.draft_threshold = options.seed % 2 == 0 ? 0 : 0.2;
    Session session(decoder, options, Prompt::of_text(prompt), end);
    while (!session.done() && session.generated().size() < 3) {
      const PassTrace pass = session.step();
      accepted += pass.accepted;
      rejected += pass.accepted < pass.drafted ? 1 : 0;
    }
    size_t cell = 0;
    for (size_t i = 0; i < 3; ++i) {
      const bool ended = i >= session.generated().size();
      cell = cell * kFewTokens + static_cast<size_t>(ended ? end : session.generated()[i]);
    }
    counts[cell] += 1;
  }
  testing::expect_distributed(counts, testing::continuations(model, prompt, 3, sampler, end),
                              cells);
  EXPECT_GT(accepted, 2000);
  EXPECT_GT(rejected, 2000);
}

TEST(Session, ExactSamplingHasTheAutoregressiveDistribution) {
  expect_exact_sampling({.temperature = 5}, kNoEnd, 80);
}

TEST(Session, ExactSamplingEndsTextsAsOftenAsTheAutoregressiveModel) {
  expect_exact_sampling({.temperature = 5}, 2, 50);
}

TEST(Session, ExactSamplingRespectsTopKAndTopP) {
  expect_exact_sampling({.temperature = 5, .top_k = 3}, kNoEnd, 20);
  expect_exact_sampling({.temperature = 5, .top_p = 0.9}, kNoEnd, 30);
}

// ---------------------------------------------------------------------------- drafts

/// Greedy drafts for what follows `text`, from scratch: one pass over its first `context` tokens
/// and `window` evolving rows, then the inner field from the first of them on.
std::vector<int32_t> expected_drafts(const model::Model& model, std::span<const int32_t> text,
                                     int32_t context, int32_t window) {
  model::ForwardInput input;
  for (int32_t r = 0; r < context + window; ++r) {
    input.positions.push_back(r);
    if (r < context) input.ids.push_back(text[r]);
    if (r < context) input.ranges.push_back({0, r + 1, 0, 0});
    if (r >= context) input.ranges.push_back({0, context, context, context + window});
  }
  input.times.assign(window, 1.0f);
  input.z = input.previous_x = tensor::Tensor::zeros({window, model.config().code_size});
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor h = model.forward(tape, input);
  std::vector<float> state(static_cast<size_t>(model.config().inner_size), 0.0f);
  std::vector<int32_t> tokens(text.begin(), text.end());
  for (size_t i = static_cast<size_t>(context); i < static_cast<size_t>(context + window); ++i) {
    const tensor::Tensor row = tensor::Tensor::view(h.row(static_cast<int64_t>(i)), {1, h.cols()});
    const tensor::Tensor o = model.inner_step(row, tokens[i - 1], state);
    if (i < text.size()) continue;
    const tensor::Tensor logits = ops::head_logits(tape, o, 0, 1, model.unembedding(), nullptr);
    const auto best = std::ranges::max_element(logits.values());
    tokens.push_back(static_cast<int32_t>(best - logits.values().begin()));
  }
  return {tokens.begin() + std::ssize(text), tokens.end()};
}

TEST(Session, DraftsAreWhatTheInnerFieldSaysAfterTheLatestToken) {
  constexpr int32_t kWindow = 4;
  // The network cannot see z, of which a trace does not show all.
  model::Model model = tiny_model(tiny_config(64), 4);
  const tensor::Tensor evolve_in = model.parameters().tensor("evo.evolve_in.weight");
  for (int64_t k = 0; k < evolve_in.rows(); ++k) std::fill_n(evolve_in.row(k), 8, 0.0f);
  model.pack(tensor::Precision::kF32);
  const Decoder decoder(model);
  int64_t anew = 0;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    std::vector<int32_t> text = random_prompt(seed, 3);
    Session session(decoder, options_of(Mode::kExact, 60), Prompt::of_text(text), kNoEnd);
    int32_t context = 0;
    for (int pass = 0; pass < 12; ++pass) {
      const auto known = static_cast<int32_t>(text.size());
      const PassTrace trace = session.step();
      text.insert(text.end(), trace.committed.begin(), trace.committed.end());
      // If all drafts were right, hidden states behind them are fresh; else the old ones serve on.
      if (trace.accepted == trace.drafted) context = known + static_cast<int32_t>(trace.accepted);
      std::vector<int32_t> drafts;
      for (const TokenTrace& token : trace.tokens) drafts.push_back(token.token);
      ASSERT_EQ(drafts, expected_drafts(model, text, context, kWindow)) << seed << ' ' << pass;
      anew += trace.accepted < trace.drafted && !drafts.empty() ? 1 : 0;
    }
  }
  EXPECT_GT(anew, 30);
}

TEST(Session, DraftsAsLongAsAllAreLikelyKept) {
  int64_t drafted[3] = {}, below_half = 0;
  for (int i = 0; i < 3; ++i) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      DecodeOptions options = options_of(Mode::kExact, 16);
      options.draft_threshold = 0.5 * i;
      Session session(shared_decoder(), options, Prompt::of_text(random_prompt(seed, 5)), kNoEnd);
      for (const PassTrace& pass : finish(session, options)) {
        double all_kept = 1;
        for (const TokenTrace& token : pass.tokens) all_kept *= token.maturity;
        EXPECT_TRUE(pass.tokens.empty() || all_kept >= options.draft_threshold) << all_kept;
        below_half += all_kept < 0.5 ? 1 : 0;
      }
      drafted[i] += session.drafted();
    }
  }
  EXPECT_GT(below_half, 50);  // without a threshold
  EXPECT_GT(drafted[0], drafted[1]);
  EXPECT_GT(drafted[1], 50);
  EXPECT_EQ(drafted[2], 0);  // nothing is certain
}

// ----------------------------------------------------------------------- evo, balance

TEST(Session, EvoWithoutBalanceIsExact) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<int32_t> prompt = random_prompt(seed, 5);
    for (double temperature : {0.0, 1.0}) {
      DecodeOptions exact = options_of(Mode::kExact, 12);
      exact.seed = seed;
      exact.sampler.temperature = temperature;
      exact.draft_threshold = 0.2;
      DecodeOptions evo = exact;
      evo.mode = Mode::kEvo;
      evo.balance = 0;
      Session a(shared_decoder(), exact, Prompt::of_text(prompt), kNoEnd),
          b(shared_decoder(), evo, Prompt::of_text(prompt), kNoEnd);
      finish(a, exact);
      finish(b, evo);
      EXPECT_EQ(tokens_of(a), tokens_of(b));
      EXPECT_EQ(a.passes(), b.passes());
      EXPECT_EQ(a.drafted(), b.drafted());
      EXPECT_EQ(a.accepted(), b.accepted());
    }
  }
}

TEST(Session, BalanceTradesPassesForFidelity) {
  for (double temperature : {0.0, 1.0}) {
    int64_t passes[3] = {};
    for (uint64_t seed = 0; seed < 50; ++seed) {
      for (int i = 0; i < 3; ++i) {
        DecodeOptions options = options_of(Mode::kEvo, 16);
        options.balance = 0.49 * i;
        options.seed = seed;
        options.sampler.temperature = temperature;
        Session session(shared_decoder(), options, Prompt::of_text(random_prompt(seed, 5)), kNoEnd);
        finish(session, options);
        passes[i] += session.passes();
      }
    }
    EXPECT_LT(passes[1], passes[0]) << temperature;
    EXPECT_LT(passes[2], passes[1]) << temperature;
  }
}

}  // namespace
}  // namespace evo::decode
