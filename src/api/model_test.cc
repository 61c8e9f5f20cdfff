#include <gtest/gtest.h>

#include <cmath>
#include <evo/error.hpp>
#include <evo/messages.hpp>
#include <evo/model.hpp>
#include <evo/train.hpp>
#include <thread>

#include "api/testing.h"
#include "chat/chat_template.h"
#include "decode/generate.h"
#include "decode/loaded_model.h"
#include "text/utf8.h"

namespace evo {
namespace {

using api::Finish;
using testing::expect_error;

const std::string kPrompt = "Die Käfer";

class ApiModelTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new testing::TemporaryFolder;
    const api::TrainOptions run = testing::small_run(folder_->path(), 200);
    api::train(run);
    model_ = new api::Model(run.out, {.precision = api::Precision::kF32});
    loaded_ =
        new decode::LoadedModel(decode::load_model(run.out.string(), tensor::Precision::kF32));
  }
  static void TearDownTestSuite() {
    delete loaded_;
    delete model_;
    delete folder_;
  }

  static std::filesystem::path model_folder() { return folder_->path() / "model"; }

  /// What the layers below make of the same.
  static decode::Generation below(const decode::Prompt& prompt,
                                  const decode::GenerateOptions& options) {
    return decode::generate(decode::Decoder(loaded_->model, loaded_->tokenizer), loaded_->tokenizer,
                            prompt, options);
  }
  static decode::Generation below(const decode::Prompt& prompt, decode::Mode mode,
                                  double temperature, int64_t tokens) {
    decode::GenerateOptions options;
    options.decode.mode = mode;
    options.decode.sampler.temperature = temperature;
    options.decode.max_tokens = tokens;
    return below(prompt, options);
  }
  static void expect_same(const api::Generation& result, const decode::Generation& expected) {
    EXPECT_EQ(result.text,
              expected.text.substr(
                  0, expected.text.size() - text::incomplete_utf8_suffix(expected.text)));
    EXPECT_EQ(result.tokens, expected.tokens);
    EXPECT_EQ(name(result.finish), expected.finish);
  }

  static inline testing::TemporaryFolder* folder_ = nullptr;
  static inline api::Model* model_ = nullptr;
  static inline decode::LoadedModel* loaded_ = nullptr;
};

TEST_F(ApiModelTest, KnowsWhatItIs) {
  const api::ModelInfo& info = model_->info();
  EXPECT_EQ(info.parameters, model::model_cost(loaded_->model.config(), 1).parameters());
  EXPECT_EQ(info.vocabulary, loaded_->tokenizer.vocab_size());
  EXPECT_EQ(info.context, 256);
  EXPECT_EQ(info.family, loaded_->model.config().family());
  EXPECT_TRUE(info.evolves);
  EXPECT_EQ(info.precision, api::Precision::kF32);
}

TEST_F(ApiModelTest, TokensAreThoseOfTheTokenizer) {
  const std::string text = "Straße <|endoftext|>";
  const std::vector<int32_t> tokens = model_->encode(text);
  EXPECT_EQ(tokens, loaded_->tokenizer.encode(text));
  EXPECT_EQ(model_->decode(tokens), text);
  EXPECT_EQ(model_->count(text), std::ssize(tokens));
  const std::vector<int32_t> unknown = {0, 1 << 20};
  expect_error<api::UsageError>([&] { (void)model_->decode(unknown); }, {"1048576", "vocabulary"});
}

TEST_F(ApiModelTest, GeneratesWhatTheDecoderDoes) {
  const decode::Prompt prompt = decode::text_prompt(loaded_->tokenizer, kPrompt);
  for (const auto& [mode, internal] :
       {std::pair(api::Mode::kAr, decode::Mode::kAr),
        std::pair(api::Mode::kExact, decode::Mode::kExact),
        std::pair(api::Mode::kEvo, decode::Mode::kEvo),
        std::pair(api::Mode::kDiffusion, decode::Mode::kDiffusion)}) {
    for (const double temperature : {0.0, 0.9}) {
      std::string joined;
      const api::Generation result =
          model_->generate(kPrompt, {.mode = mode, .max_tokens = 40, .temperature = temperature},
                           [&](std::string_view piece) {
                             joined += piece;
                             return true;
                           });
      expect_same(result, below(prompt, internal, temperature, 40));
      EXPECT_EQ(joined, result.text);
      EXPECT_GT(result.passes, 0);
    }
  }
}

TEST_F(ApiModelTest, ModeAndBalanceAgreeOrAreRefused) {
  const decode::Prompt prompt = decode::text_prompt(loaded_->tokenizer, kPrompt);
  decode::GenerateOptions options;
  options.decode.mode = decode::Mode::kEvo;
  options.decode.balance = 0.8;
  options.decode.max_tokens = 30;
  expect_same(model_->generate(kPrompt, {.balance = 0.8, .max_tokens = 30}),
              below(prompt, options));
  expect_same(model_->generate(kPrompt, {.max_tokens = 30}),
              below(prompt, decode::Mode::kExact, 0, 30));
  expect_error<api::UsageError>(
      [&] { model_->generate(kPrompt, {.mode = api::Mode::kAr, .balance = 0.8}); },
      {"ar", "0.8", "contradict"});
}

TEST_F(ApiModelTest, PromptsOfAllKinds) {
  decode::GenerateOptions options;
  options.decode.max_tokens = 20;
  expect_same(model_->generate(model_->encode(kPrompt), {.max_tokens = 20}),
              below(decode::Prompt::of_text(model_->encode(kPrompt)), options));
  expect_same(model_->generate(api::Gap("Die Käfer", "Straße."), {.max_tokens = 20}),
              below(decode::gap_prompt(loaded_->tokenizer, "Die Käfer", "Straße.", 20), options));

  const chat::ChatTemplate chat = chat::ChatTemplate::load(model_folder());
  const std::vector<text::ChatMessage> messages = {{"user", "Die Käfer"}};
  options.stop = chat::chat_stops(chat, loaded_->tokenizer);
  const std::vector<api::Message> asked = {{"user", "Die Käfer"}};
  expect_same(model_->generate(asked, {.max_tokens = 20}),
              below(decode::Prompt::of_text(chat::encode_chat(chat, loaded_->tokenizer, messages)),
                    options));
  EXPECT_EQ(model_->apply_template(asked), chat.render(messages, true));
}

TEST_F(ApiModelTest, RepetitionIsPenalizedAndTheModelsOwnOptionsAreTold) {
  decode::GenerateOptions options;
  options.decode.max_tokens = 40;
  options.decode.shape.repetition_penalty = 50;
  const api::Generation penalized =
      model_->generate(kPrompt, {.max_tokens = 40, .repetition_penalty = 50});
  expect_same(penalized, below(decode::text_prompt(loaded_->tokenizer, kPrompt), options));
  EXPECT_NE(penalized.text, model_->generate(kPrompt, {.max_tokens = 40}).text);
  expect_error<api::UsageError>([&] { model_->generate(kPrompt, {.repetition_penalty = 0}); },
                                {"repetition_penalty", "above 0"});
  EXPECT_EQ(model_->own_options().temperature, 0);  // its files say nothing
  EXPECT_EQ(model_->own_options().repetition_penalty, 1);
}

TEST_F(ApiModelTest, StopTextsEndTheText) {
  const std::string full = model_->generate(kPrompt, {.max_tokens = 100}).text;
  ASSERT_NE(full.find("auf"), std::string::npos) << full;
  const api::Generation result = model_->generate(kPrompt, {.max_tokens = 100, .stop = {"auf"}});
  EXPECT_EQ(result.finish, Finish::kStop);
  EXPECT_EQ(result.text, full.substr(0, full.find("auf")));
}

// A token is a byte here, so that many of these texts are cut inside a character.
TEST_F(ApiModelTest, PiecesAreWholeCharacters) {
  int cut = 0;
  const decode::Prompt prompt = decode::text_prompt(loaded_->tokenizer, kPrompt);
  for (int64_t tokens = 1; tokens < 60; ++tokens) {
    std::string joined;
    const api::Generation result = model_->generate(
        kPrompt, {.mode = api::Mode::kAr, .max_tokens = tokens}, [&](std::string_view piece) {
          EXPECT_EQ(text::valid_utf8_prefix(piece), piece.size()) << piece;
          EXPECT_FALSE(piece.empty());
          joined += piece;
          return true;
        });
    EXPECT_EQ(text::valid_utf8_prefix(result.text), result.text.size()) << result.text;
    EXPECT_EQ(joined, result.text);
    cut += below(prompt, decode::Mode::kAr, 0, tokens).text.size() > result.text.size() ? 1 : 0;
  }
  EXPECT_GE(cut, 5);
}

TEST_F(ApiModelTest, AnotherThreadStops) {
  const api::GenerateOptions options{.mode = api::Mode::kAr, .max_tokens = 200};
  std::stop_source source;
  std::string seen;
  const api::Generation result = model_->generate(
      kPrompt, options,
      [&](std::string_view piece) {
        seen += piece;
        std::thread([&] { source.request_stop(); }).join();
        return true;
      },
      source.get_token());
  EXPECT_EQ(result.finish, Finish::kInterrupted);
  EXPECT_EQ(name(result.finish), "interrupted");
  EXPECT_FALSE(seen.empty());
  EXPECT_LT(result.tokens.size(), 10u);
  expect_same(model_->generate(kPrompt, options),
              below(decode::text_prompt(loaded_->tokenizer, kPrompt), decode::Mode::kAr, 0, 200));
  EXPECT_EQ(model_->generate(kPrompt, options, {}, source.get_token()).tokens.size(), 0u);
}

TEST_F(ApiModelTest, OpeningCanBeStopped) {
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(api::Model(model_folder(), {}, source.get_token()), api::Interrupted);
}

TEST_F(ApiModelTest, TheCallbackStops) {
  int pieces = 0;
  const api::Generation result =
      model_->generate(kPrompt, {.mode = api::Mode::kAr, .max_tokens = 200},
                       [&](std::string_view) { return ++pieces < 3; });
  EXPECT_EQ(pieces, 3);
  EXPECT_EQ(result.finish, Finish::kInterrupted);
}

TEST_F(ApiModelTest, WhatTheCallbackThrowsComesOut) {
  struct Mine : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  const auto refuse = [](std::string_view) -> bool { throw Mine("mine"); };
  EXPECT_THROW(model_->generate(kPrompt, {}, refuse), Mine);
  EXPECT_FALSE(model_->generate(kPrompt, {.max_tokens = 5}).text.empty());
}

TEST_F(ApiModelTest, ManyThreadsMayUseIt) {
  std::vector<std::string> expected(4), texts(4);
  const auto text_of = [&](size_t i) {
    return model_->generate(kPrompt, {.max_tokens = 30, .temperature = 1, .seed = i}).text;
  };
  for (size_t i = 0; i < 4; ++i) expected[i] = text_of(i);
  {
    std::vector<std::jthread> users;
    for (size_t i = 0; i < 4; ++i) users.emplace_back([&, i] { texts[i] = text_of(i); });
  }
  EXPECT_EQ(texts, expected);
}

TEST_F(ApiModelTest, JsonIsCompleteOrSaidToBeCut) {
  const std::string schema = R"({"enum": ["Straße", "Käfer"]})";
  const api::Generation whole = model_->generate(kPrompt, {.json_schema = schema});
  EXPECT_TRUE(whole.json_complete) << whole.text;
  EXPECT_TRUE(whole.text.ends_with("\"Straße\"") || whole.text.ends_with("\"Käfer\""))
      << whole.text;
  const api::Generation cut = model_->generate(kPrompt, {.max_tokens = 4, .json_schema = schema});
  EXPECT_EQ(cut.finish, Finish::kLength);
  EXPECT_FALSE(cut.json_complete);
  EXPECT_FALSE(model_->generate(kPrompt, {.max_tokens = 4}).json_complete);
  const std::vector<api::Message> chat = {{"user", "?"}};
  EXPECT_TRUE(model_->generate(chat, {.json_schema = schema}).json_complete);
}

TEST_F(ApiModelTest, ScoresAreTheAutoregressiveModels) {
  const std::string text = " küßten 日本語";
  const std::vector<int32_t> tokens = loaded_->tokenizer.encode(text);
  const api::Score score = model_->score(text, kPrompt);
  EXPECT_EQ(score.tokens, tokens);
  ASSERT_EQ(score.logprobs.size(), tokens.size());
  const decode::Prompt context = decode::text_prompt(loaded_->tokenizer, kPrompt);
  EXPECT_EQ(score.nats_per_token(), decode::ar_nats_per_token(loaded_->model, context, tokens));
  // Of the first token alone: a score is of the tokens before it only.
  const std::span<const int32_t> first(tokens.data(), 1);
  EXPECT_NEAR(score.logprobs[0], -decode::ar_nats_per_token(loaded_->model, context, first), 1e-5);
  EXPECT_LT(score.total(), 0);
  EXPECT_GT(model_->score(text).nats_per_token(), score.nats_per_token());
  EXPECT_TRUE(std::isnan(model_->score("").nats_per_token()));
}

TEST_F(ApiModelTest, ScoresWhatFits) {
  EXPECT_EQ(model_->score(std::string(256, 'x')).logprobs.size(), 256u);
  expect_error<api::Error>([&] { (void)model_->score(std::string(257, 'x')); }, {"257", "256"});
}

TEST_F(ApiModelTest, FaultsSayWhatIsWrong) {
  const auto asked = [&](const api::GenerateOptions& options) {
    return [options] { model_->generate(kPrompt, options); };
  };
  expect_error<api::UsageError>(asked({.max_tokens = -1}), {"max_tokens", "-1"});
  expect_error<api::UsageError>(asked({.temperature = -1}), {"temperature", "-1"});
  expect_error<api::UsageError>(asked({.temperature = NAN}), {"temperature", "nan"});
  expect_error<api::UsageError>(asked({.top_k = -1}), {"top-k", "-1"});
  expect_error<api::UsageError>(asked({.top_p = 0}), {"top-p", "0"});
  expect_error<api::UsageError>(asked({.balance = 2}), {"balance", "2"});
  expect_error<api::UsageError>(asked({.stop = {""}}), {"stop", "empty"});
  expect_error<api::UsageError>(asked({.mode = api::Mode::kDiffusion, .json_schema = "{}"}),
                                {"json_schema", "diffusion"});
  expect_error<api::Error>(asked({.json_schema = "{"}), {"JSON"});
  expect_error<api::UsageError>([] { model_->generate(std::vector<int32_t>{}); }, {"found none"});
  expect_error<api::UsageError>([] { model_->generate(std::vector<int32_t>{-1}); }, {"-1"});
  expect_error<api::Error>([] { model_->generate(std::string(1000, 'x')); }, {"256", "shorten"});
}

TEST_F(ApiModelTest, BadFoldersSayWhatIsWrong) {
  expect_error<api::Error>([] { api::Model("no/such/model"); }, {"no/such/model"});
  expect_error<api::UsageError>([] { api::Model(model_folder(), {.threads = -1}); },
                                {"threads", "-1"});
  const testing::TemporaryFolder damaged;
  std::filesystem::copy(model_folder(), damaged.path(), std::filesystem::copy_options::recursive);
  testing::write_bytes(damaged / "tokenizer.json", "{");
  expect_error<api::Error>([&] { api::Model{damaged.path()}; }, {"tokenizer.json"});
}

TEST_F(ApiModelTest, MovedFromModelsSaySo) {
  api::Model first(model_folder(), {.precision = api::Precision::kF32});
  api::Model second = std::move(first);
  EXPECT_EQ(second.count("x"), 1);
  expect_error<api::UsageError>([&] { (void)first.info(); }, {"moved"});  // NOLINT
  expect_error<api::UsageError>([&] { (void)first.encode("x"); }, {"moved"});
  expect_error<api::UsageError>([&] { first.generate("x"); }, {"moved"});
  first = std::move(second);
  EXPECT_EQ(first.count("x"), 1);
}

TEST_F(ApiModelTest, KeepsWhatItLearntWhereItIsSaid) {
  const testing::TemporaryFolder cache;
  const auto use = [&](const std::filesystem::path& folder) {
    const api::Model model(model_folder(), {.cache_folder = folder});
    model.generate(kPrompt, {.max_tokens = 200});
  };
  use({});
  EXPECT_TRUE(cache.names().empty());
  use(cache.path());
  EXPECT_FALSE(cache.names().empty());
}

TEST_F(ApiModelTest, RemarksGoToTheSink) {
  const testing::TemporaryFolder folder;
  std::vector<std::string> heard;
  api::set_message_sink([&](std::string_view message) { heard.emplace_back(message); });
  api::train(testing::small_run(folder.path(), 1));
  log_to_terminal();
  ASSERT_FALSE(heard.empty());
  EXPECT_NE(heard[0].find("parameters"), std::string::npos) << heard[0];
}

TEST_F(ApiModelTest, IsSilent) {
  api::set_message_sink({});
  const testing::TemporaryFolder folder;
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  api::train(testing::small_run(folder.path(), 2));
  model_->generate(kPrompt, {.max_tokens = 5});
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  log_to_terminal();
}

}  // namespace
}  // namespace evo
