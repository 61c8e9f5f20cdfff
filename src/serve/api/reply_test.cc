#include "serve/api/reply.h"

#include <gtest/gtest.h>

#include "serve/metrics.h"
#include "serve/serve_testing.h"
#include "serve/server.h"

namespace evo::serve {
namespace {

using testing::byte_tokenizer;

ReplyOptions options_of(Endpoint endpoint, bool logprobs = false) {
  return {.endpoint = endpoint,
          .id = "id",
          .model = "m",
          .created = 5,
          .texts = 1,
          .prompt_tokens = 3,
          .logprobs = logprobs,
          .include_usage = true};
}

Event piece(const std::string& text) {
  Event event;
  event.piece = text;
  for (const char c : text) event.pass.committed.push_back(c);
  event.pass.logprobs.push_back({text.empty() ? 0 : text[0], -0.5f, {{'x', -0.25f}}});
  return event;
}

Event last(const std::string& text, const std::string& finish) {
  Event event = piece(text);
  event.end = decode::Generation{"abc", finish, {'a', 'b', 'c'}, 2, 4, 1, 0};
  return event;
}

/// The objects of a stream, which must end as streams do.
std::vector<Json> events_of(std::string_view text) {
  std::vector<Json> events;
  while (text != kStreamEnd && text.starts_with("data: ")) {
    const size_t end = text.find("\n\n");
    events.push_back(Json::parse(text.substr(6, end - 6)));
    text.remove_prefix(end + 2);
  }
  EXPECT_EQ(text, kStreamEnd);
  return events;
}

TEST(Reply, ACompletionHasItsTextAndUsage) {
  Reply reply(options_of(Endpoint::kCompletion), byte_tokenizer(), {});
  reply.add(piece("ab"));
  reply.add(last("c", "end"));
  const Json body = Json::parse(reply.body());
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["id"], "id");
  EXPECT_EQ(body["choices"][0]["text"], "abc");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(body["choices"][0]["logprobs"].is_null());
  EXPECT_EQ(body["usage"], Json::parse(R"({"prompt_tokens": 3, "completion_tokens": 3,
      "total_tokens": 6, "prompt_tokens_details": {"cached_tokens": 0}, "evo": {"passes": 2,
      "tokens_per_forward": 1.5, "drafted": 4, "accepted": 1}})"));
}

TEST(Reply, AConversationIsStreamedWithItsSpeakerFirst) {
  Reply reply(options_of(Endpoint::kChat), byte_tokenizer(), {});
  std::string stream = reply.opening();
  for (const Event& event : {piece("ab"), last("c", "length")}) {
    reply.add(event);
    stream += reply.chunk(event);
  }
  stream += reply.closing();
  const std::vector<Json> events = events_of(stream);
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0]["object"], "chat.completion.chunk");
  EXPECT_EQ(events[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(events[1]["choices"][0]["delta"]["content"], "ab");
  EXPECT_TRUE(events[1]["choices"][0]["finish_reason"].is_null());
  EXPECT_EQ(events[2]["choices"][0]["finish_reason"], "length");
  EXPECT_TRUE(events[3]["choices"].empty());
  EXPECT_EQ(events[3]["usage"]["completion_tokens"], 3);
}

TEST(Reply, LinesOfATextCannotEndAnEvent) {
  EXPECT_EQ(sse({{"a", "x\n\ndata: y\r"}}), "data: {\"a\":\"x\\n\\ndata: y\\r\"}\n\n");
  EXPECT_EQ(dump({{"a", "\xFF"}}), "{\"a\":\"\xEF\xBF\xBD\"}");
}

TEST(Reply, LogprobsHaveTheShapeOfTheirEndpoint) {
  Reply completion(options_of(Endpoint::kCompletion, true), byte_tokenizer(), {});
  completion.add(last("a", "end"));
  const Json body = Json::parse(completion.body());
  EXPECT_EQ(body["choices"][0]["logprobs"],
            Json::parse(R"({"tokens": ["a"], "token_logprobs": [-0.5],
                "top_logprobs": [{"x": -0.25}], "text_offset": [0]})"));
  Reply chat(options_of(Endpoint::kChat, true), byte_tokenizer(), {});
  chat.add(last("a", "end"));
  EXPECT_EQ(Json::parse(chat.body())["choices"][0]["logprobs"]["content"][0],
            Json::parse(R"({"token": "a", "logprob": -0.5, "bytes": [97],
                "top_logprobs": [{"token": "x", "logprob": -0.25, "bytes": [120]}]})"));
}

/// An event whose pass committed all these bytes, each a token.
Event several(const std::string& text) {
  Event event;
  event.piece = text;
  for (const char byte : text) {
    event.pass.logprobs.push_back({static_cast<unsigned char>(byte), -0.5f, {}});
  }
  return event;
}

TEST(Reply, TokensAreFoundInTheirTextByCharacters) {
  Reply reply(options_of(Endpoint::kCompletion, true), byte_tokenizer(), {});
  std::vector<Json> offsets;
  // What completes a character stands behind it, since it has begun before.
  for (const char* text : {"a\xC3\xA9!", "bc"}) {
    const Event event = several(text);
    reply.add(event);
    const std::string chunk = reply.chunk(event);
    offsets.push_back(Json::parse(chunk.substr(6))["choices"][0]["logprobs"]["text_offset"]);
  }
  EXPECT_EQ(offsets[0], Json({0, 1, 2, 2}));
  EXPECT_EQ(offsets[1], Json({3, 4}));
}

TEST(Reply, AStopStringCutsTheLogprobsOfAStream) {
  Reply reply(options_of(Endpoint::kCompletion, true), byte_tokenizer(), {});
  reply.add(several("ab"));
  Event event = several("cde");  // of which the stop string leaves the first
  event.end = decode::Generation{"abc", "stop", {'a', 'b', 'c'}, 2, 4, 1, 0};
  reply.add(event);
  const Json chunk = Json::parse(reply.chunk(event).substr(6));
  EXPECT_EQ(chunk["choices"][0]["logprobs"]["tokens"], Json({"c"}));
}

TEST(Reply, ErrorsHaveOpenAisShape) {
  const RequestError error(kBadRequest, "bad", "n", "invalid_value");
  EXPECT_EQ(error_json(error), Json::parse(R"({"error": {"message": "bad",
      "type": "invalid_request_error", "param": "n", "code": "invalid_value"}})"));
  EXPECT_TRUE(error_json({kInternal, "x"})["error"]["param"].is_null());
  EXPECT_EQ(error_json({kInternal, "x"})["error"]["type"], "server_error");
}

TEST(Reply, ACutTextIsAnError) {
  Event event;
  EXPECT_NO_THROW(check_cut(event));
  for (const Cut cut : {Cut::kDeadline, Cut::kDrain, Cut::kFault}) {
    event.cut = cut;
    EXPECT_THROW(check_cut(event), RequestError);
  }
}

TEST(Histogram, CountsAreCumulative) {
  Histogram histogram({1, 2});
  for (const double value : {0.5, 1.0, 1.5, 7.0}) histogram.observe(value);
  const std::string text = histogram.text("h", "help");
  EXPECT_EQ(text,
            "# HELP h help\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 3\n"
            "h_bucket{le=\"+Inf\"} 4\nh_sum 10\nh_count 4\n");
}

TEST(Secret, OnlyTheWholeSecretIsEqual) {
  EXPECT_TRUE(equal_secret("abc", "abc"));
  for (const char* wrong : {"", "ab", "abcabc", "abd", "abca"}) {
    EXPECT_FALSE(equal_secret(wrong, "abc")) << wrong;
  }
  EXPECT_FALSE(equal_secret("a", ""));
}

}  // namespace
}  // namespace evo::serve
