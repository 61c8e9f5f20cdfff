#include "decode/generate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/testing.h"
#include "decode/testing.h"

namespace evo::decode {
namespace {

using testing::expect_error;

/// Characters of one to four bytes, no byte twice: a script for reciting_model().
constexpr std::string_view kScript = ">xb\u20ACy\u00E9-\U0001F98Az";

tokenizer::Tokenizer bytes_only() {
  return tokenizer::Tokenizer::from_merges({});
}

const model::Model& reciter() {
  static const model::Model model = testing::reciting_model(bytes_only(), kScript);
  return model;
}

struct Shown {
  Generation result;
  std::vector<std::string> pieces;  ///< as on_pass got them
};

/// The script after its first byte.
Shown recite(Mode mode, std::vector<std::string> stops = {}, int64_t max_tokens = 100) {
  GenerateOptions options;
  options.decode.mode = mode;
  options.decode.max_tokens = max_tokens;
  options.decode.window = mode == Mode::kAr ? 0 : 8;
  options.stop = std::move(stops);
  Shown shown;
  shown.result = generate(
      Decoder(reciter()), bytes_only(), text_prompt(bytes_only(), kScript.substr(0, 1)), options,
      [&](std::string_view text, const PassTrace&) { shown.pieces.emplace_back(text); });
  return shown;
}

std::string joined(const Shown& shown) {
  std::string text;
  for (const std::string& piece : shown.pieces) text += piece;
  return text;
}

bool begins_inside_character(std::string_view text) {
  return !text.empty() && (static_cast<unsigned char>(text.front()) & 0xC0) == 0x80;
}

TEST(Generate, RecitesInEveryVerifiedMode) {
  for (Mode mode : {Mode::kAr, Mode::kExact, Mode::kEvo}) {
    const Shown shown = recite(mode);
    EXPECT_EQ(shown.result.text, kScript.substr(1)) << mode_name(mode);
    EXPECT_EQ(joined(shown), kScript.substr(1));
    EXPECT_EQ(shown.result.finish, "end");
    EXPECT_EQ(shown.result.tokens.size(), kScript.size() - 1);
    EXPECT_EQ(std::ssize(shown.pieces), shown.result.passes);
    if (mode == Mode::kAr) continue;
    // The first pass commits one token and drafts; later ones verify seven of a window of eight.
    EXPECT_EQ(shown.result.accepted, shown.result.drafted);
    EXPECT_EQ(shown.result.passes, 3);
    EXPECT_EQ(shown.result.tokens_per_forward(),
              static_cast<double>(shown.result.tokens.size()) / 3);
  }
}

TEST(Generate, ShowsWholeCharactersOnly) {
  const Shown shown = recite(Mode::kAr);
  ASSERT_EQ(shown.pieces.size(), kScript.size());  // one byte per pass, and the end
  std::vector<std::string> characters;
  for (const std::string& piece : shown.pieces) {
    if (!piece.empty()) characters.push_back(piece);
  }
  const std::vector<std::string> expected = {"x",      "b", "\u20AC",     "y",
                                             "\u00E9", "-", "\U0001F98A", "z"};
  EXPECT_EQ(characters, expected);
}

TEST(Generate, ATextCutInsideACharacterIsStillShownToItsEnd) {
  // x, b and two of the three bytes of the euro sign.
  const Shown shown = recite(Mode::kAr, {}, 4);
  EXPECT_EQ(shown.result.finish, "length");
  EXPECT_EQ(shown.result.text, kScript.substr(1, 4));
  EXPECT_EQ(joined(shown), kScript.substr(1, 4));
}

TEST(Generate, StopsInFrontOfAStringAcrossTokens) {
  for (Mode mode : {Mode::kAr, Mode::kExact}) {
    for (const std::string stop : {"b\u20ACy", "\u20AC", "x", "\u00E9-\U0001F98A"}) {
      const std::string expected(kScript.substr(1, kScript.find(stop) - 1));
      const Shown shown = recite(mode, {"never", stop});
      EXPECT_EQ(shown.result.text, expected) << stop;
      EXPECT_EQ(joined(shown), expected) << stop;  // nothing too much was ever shown
      EXPECT_EQ(shown.result.finish, "stop");
    }
  }
}

TEST(Generate, TheFirstOfSeveralStopsCounts) {
  EXPECT_EQ(recite(Mode::kExact, {"-", "y", "z"}).result.text, "xb\u20AC");
}

TEST(Generate, HoldsBackWhatMayBecomeAStop) {
  const Shown shown = recite(Mode::kAr, {"xb\u20AC?"});
  EXPECT_EQ(shown.result.finish, "end");
  EXPECT_EQ(joined(shown), kScript.substr(1));
  // x .. euro sign come with y, which shows that they were no stop.
  for (size_t pass = 0; pass < 5; ++pass) EXPECT_EQ(shown.pieces[pass], "");
  EXPECT_EQ(shown.pieces[5], "xb\u20ACy");
  for (const std::string& piece : shown.pieces) EXPECT_FALSE(begins_inside_character(piece));
}

TEST(Generate, AHeldBackTextIsShownAtTheEnd) {
  const Shown shown = recite(Mode::kAr, {"xb?"}, 2);
  EXPECT_EQ(shown.result.finish, "length");
  EXPECT_EQ(joined(shown), "xb");
}

TEST(Generate, NoTokensIsNoText) {
  const Shown shown = recite(Mode::kExact, {}, 0);
  EXPECT_EQ(shown.result.text, "");
  EXPECT_EQ(shown.result.finish, "length");
  EXPECT_EQ(shown.result.tokens_per_forward(), 0);
}

TEST(Generate, AnEmptyStopIsAUsageError) {
  expect_error<UsageError>([] { recite(Mode::kAr, {"x", ""}); }, {"--stop"});
}

/// What the model's files name ends its texts, and nothing else does.
TEST(Generate, EndsWhereTheModelSays) {
  const tokenizer::Tokenizer tokenizer = bytes_only();
  const auto recited = [&](std::vector<int64_t> ends, const Prompt& prompt, Mode mode) {
    const model::Model model = testing::reciting_model(tokenizer, "abcdefgh", std::move(ends));
    GenerateOptions options;
    options.decode.mode = mode;
    options.decode.max_tokens = 20;
    return generate(Decoder(model, tokenizer), tokenizer, prompt, options);
  };
  for (const Mode mode : {Mode::kAr, Mode::kExact}) {
    const Prompt after_a = text_prompt(tokenizer, "a");
    const Generation one = recited({'e', 'y'}, after_a, mode);
    EXPECT_EQ(one.text, "bcd") << mode_name(mode);
    EXPECT_EQ(one.finish, "end");
    EXPECT_EQ(recited({}, after_a, mode).text, "bcdefgh");
    EXPECT_EQ(recited({'y'}, after_a, mode).finish, "length");
    // A gap ends as training marks it.
    const Generation gap = recited({'y'}, gap_prompt(tokenizer, "a", "xx", 20), mode);
    EXPECT_EQ(gap.text, "bcdefgh");
    EXPECT_EQ(gap.finish, "end");
  }
}

TEST(PromptTokens, BeginWithTheEndOfTheTextBefore) {
  const tokenizer::Tokenizer tokenizer = bytes_only();
  const int32_t end = tokenizer.end_of_text();
  EXPECT_EQ(text_prompt(tokenizer, "hi").tokens, (std::vector<int32_t>{end, 'h', 'i'}));
  EXPECT_EQ(text_prompt(tokenizer, "hi").positions, (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(text_prompt(tokenizer, "").tokens, std::vector<int32_t>{end});
}

// As transformers does; only documents that evo trains on stand behind an end of text.
TEST(PromptTokens, OfAnotherTokenizerBeginWithNothingIfItSaysSo) {
  tokenizer::TokenizerSpec spec = bytes_only().spec();
  std::swap(spec.tokens[0], spec.tokens[1]);
  const tokenizer::Tokenizer other = tokenizer::Tokenizer::from_spec(spec);
  EXPECT_EQ(text_prompt(other, "hi").tokens, (std::vector<int32_t>{'h', 'i'}));
  EXPECT_EQ(text_prompt(other, "").tokens, std::vector<int32_t>{other.end_of_text()});
  spec.added.clear();
  expect_error<Error>([&] { (void)text_prompt(tokenizer::Tokenizer::from_spec(spec), ""); },
                      {"eos_token"});
}

TEST(PromptTokens, HoldSpecialTokensIfAskedFor) {
  const tokenizer::Tokenizer tokenizer = bytes_only();
  const int32_t end = tokenizer.end_of_text();
  const std::string text = "a<|endoftext|>b";
  EXPECT_EQ(text_prompt(tokenizer, text).tokens.size(), 1 + text.size());
  EXPECT_EQ(text_prompt(tokenizer, text, NamesInText::kSpecial).tokens,
            (std::vector<int32_t>{end, 'a', end, 'b'}));
  EXPECT_EQ(gap_prompt(tokenizer, "a", "<|endoftext|>", 3, NamesInText::kSpecial).tokens,
            (std::vector<int32_t>{end, 'a', end, 'a'}));
}

TEST(PromptTokens, ThatTheModelDoesNotKnowAreAnError) {
  const model::Model model = testing::tiny_model(testing::tiny_config(16), 2);
  const Decoder decoder(model);
  for (const int32_t token : {16, -1}) {
    expect_error<Error>(
        [&] {
          (void)Session(decoder, {}, Prompt::of_text({3, token}), 0);
        },
        {"the token " + std::to_string(token), "0 to 15"});
  }
}

TEST(PromptTokens, OfAGapHoldTheSuffixBeforeTheLastTokenOfThePrefix) {
  const tokenizer::Tokenizer tokenizer = bytes_only();
  const Prompt prompt = gap_prompt(tokenizer, "ab", "yz", 10);
  EXPECT_EQ(prompt.tokens,
            (std::vector<int32_t>{tokenizer.end_of_text(), 'a', 'b', 'y', 'z', 'b'}));
  EXPECT_EQ(prompt.positions, (std::vector<int32_t>{0, 1, 2, 13, 14, 2}));
  EXPECT_EQ(prompt.room, 10);
  EXPECT_EQ(gap_prompt(tokenizer, "ab", "", 10).tokens, text_prompt(tokenizer, "ab").tokens);
}

TEST(ArNatsPerToken, IsTheMeanNegativeLogProbability) {
  const model::Model model = testing::tiny_model(testing::tiny_config(16), 2);
  const std::vector<int32_t> prompt = {3, 1, 4}, tokens = {1, 5, 9, 2};
  std::vector<int32_t> text = prompt;
  double nats = 0;
  for (int32_t token : tokens) {
    const std::vector<float> logits = testing::next_logits(model, text);
    double mass = 0;
    for (float logit : logits) mass += std::exp(static_cast<double>(logit));
    nats += std::log(mass) - logits[token];
    text.push_back(token);
  }
  // Four terms of a few nats, each exact to f32's 6e-7 at magnitudes below 8, twice.
  EXPECT_NEAR(ar_nats_per_token(model, Prompt::of_text(prompt), tokens), nats / 4, 2e-6);
  EXPECT_TRUE(std::isnan(ar_nats_per_token(model, Prompt::of_text(prompt), {})));
}

}  // namespace
}  // namespace evo::decode
