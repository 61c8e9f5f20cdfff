#include "serve/service.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "serve/api/fields.h"
#include "serve/api/request_error.h"
#include "serve/serve_testing.h"

namespace evo::serve {
namespace {

using testing::byte_tokenizer;
using testing::collect;
using testing::Ending;
using testing::RunningEngine;

/// A service of the tiny model, which has no chat template, and an engine.
class ServiceTest : public ::testing::Test {
 protected:
  std::vector<Ending> generate(const std::string& body) {
    Order order = service_.order(parse_generation(Endpoint::kCompletion, body));
    const size_t texts = order.jobs.size();
    Engine::Ticket ticket = engine_->submit(std::move(order.jobs));
    return collect(ticket, texts);
  }
  /// The field that is refused.
  std::string refused(const std::string& body) {
    try {
      (void)service_.order(parse_generation(Endpoint::kCompletion, body));
    } catch (const RequestError& error) {
      EXPECT_EQ(error.status(), kBadRequest);
      return error.param();
    }
    return "nothing";
  }

  testing::TemporaryFolder folder_;
  RunningEngine engine_;
  Service service_{engine_.decoder(), byte_tokenizer(), folder_.path(), "tiny"};
};

TEST_F(ServiceTest, PromptsHoldSpecialTokens) {
  const auto tokens = [&](const std::string& more) {
    const std::string body = R"({"prompt": "<|endoftext|>x")" + more + "}";
    return service_.order(parse_generation(Endpoint::kCompletion, body)).prompt_tokens;
  };
  EXPECT_EQ(tokens(""), 3);  // and the one that every text begins with
  EXPECT_EQ(tokens(R"(, "parse_special": false)"), 15);
}

/// A model that knows nothing writes what the schema wants.
TEST_F(ServiceTest, TextsAreAsTheirSchemaHasThem) {
  for (const char* mode : {"ar", "exact", "evo"}) {
    const std::vector<Ending> endings = generate(fmt::format(
        R"({{"prompt": "x", "mode": "{}", "n": 4, "seed": 3, "max_tokens": 100,
            "response_format": {{"type": "json_schema", "json_schema": {{"schema":
              {{"type": "object", "properties": {{"name": {{"enum": ["Ada", "Grace"]}},
                "old": {{"type": "boolean"}}}}, "required": ["name", "old"],
                "additionalProperties": false}}}}}}}})",
        mode));
    for (const Ending& ending : endings) {
      const Json value = Json::parse(ending.text, nullptr, false);
      ASSERT_TRUE(value.is_object()) << mode << ": " << ending.text;
      EXPECT_TRUE(value["name"] == "Ada" || value["name"] == "Grace") << ending.text;
      EXPECT_TRUE(value["old"].is_boolean()) << ending.text;
      EXPECT_EQ(value.size(), 2u);
      EXPECT_EQ(ending.end.finish, "end");
    }
  }
}

TEST_F(ServiceTest, ExactIsTheAutoregressiveTextUnderAGrammar) {
  const std::string request = R"({"prompt": "y", "n": 8, "seed": 5, "max_tokens": 60, "window": 4,
      "response_format": {"type": "json_object"}, "mode": ")";
  const std::vector<Ending> expected = generate(request + "ar\"}");
  const std::vector<Ending> exact = generate(request + "exact\"}");
  int64_t accepted = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(exact[i].end.tokens, expected[i].end.tokens);
    EXPECT_EQ(expected[i].text.substr(expected[i].text.find_first_not_of(' '), 1), "{");
    accepted += exact[i].end.accepted;
  }
  EXPECT_GT(accepted, 0);
}

/// A client must be able to tell JSON that was cut.
TEST_F(ServiceTest, JsonThatIsCutEndsByItsLength) {
  const Ending ending = generate(R"({"prompt": "x", "max_tokens": 5, "response_format":
      {"type": "json_object", "schema": {"type": "array", "minItems": 40}}})")[0];
  EXPECT_EQ(ending.end.finish, "length");
  EXPECT_TRUE(Json::parse(ending.text, nullptr, false).is_discarded());
}

TEST_F(ServiceTest, WhatTheModelOrTheGrammarCannotDoIsRefused) {
  EXPECT_EQ(refused(R"({"prompt": "x", "logit_bias": {"99999": 1}})"), "logit_bias");
  EXPECT_EQ(refused(R"({"prompt": "x", "response_format":
      {"type": "json_object", "schema": {"type": "text"}}})"),
            "response_format");
  EXPECT_EQ(refused(R"({"prompt": "x", "response_format":
      {"type": "json_object", "schema": {"pattern": "a+"}}})"),
            "response_format");
  EXPECT_EQ(refused(R"({"prompt": "x"})"), "nothing");
}

}  // namespace
}  // namespace evo::serve
