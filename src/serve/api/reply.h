// The JSON of replies, in OpenAI's shape, as a whole or as server-sent events.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "decode/trace/trace.h"
#include "serve/api/request.h"
#include "serve/api/request_error.h"
#include "serve/engine.h"
#include "tokenizer/tokenizer.h"

namespace evo::serve {

using Json = nlohmann::ordered_json;

/// One line; bytes that are not UTF-8 are replaced.
[[nodiscard]] std::string dump(const Json& value);
/// {"error": {"message", "type", "param", "code"}}
[[nodiscard]] Json error_json(const RequestError& error);
/// An event of a stream.
[[nodiscard]] std::string sse(const Json& value);
inline constexpr const char* kStreamEnd = "data: [DONE]\n\n";

/// Throws RequestError for an event that says that a text was cut short: 504, 503 or 500.
void check_cut(const Event& event);

/// What is the same in all of a request's replies.
struct ReplyOptions {
  Endpoint endpoint = Endpoint::kCompletion;
  std::string id, model;
  int64_t created = 0;  ///< seconds since 1970
  size_t texts = 1;
  int64_t prompt_tokens = 0;
  bool logprobs = false, include_usage = false;
};

/// Collects what the engine says of a request.
class Reply {
 public:
  /// `tracers`: none, or one per text. The tokenizer must outlive the object.
  Reply(ReplyOptions options, const tokenizer::Tokenizer& tokenizer,
        std::vector<decode::Tracer> tracers);

  /// To be called with every event, in order.
  void add(const Event& event);

  /// When all texts have ended.
  [[nodiscard]] std::string body() const;

  /// The same as a stream: before the first event; of each event, after add(), empty if there is
  /// nothing to tell; after the last one.
  [[nodiscard]] std::string opening() const;
  [[nodiscard]] std::string chunk(const Event& event) const;
  [[nodiscard]] std::string closing() const;

  [[nodiscard]] int64_t prompt_tokens() const { return options_.prompt_tokens; }
  [[nodiscard]] int64_t generated() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Text {
    std::string text;
    std::vector<decode::TokenLogprob> logprobs;
    size_t told = 0;  ///< of them, by the events before the last one
    double ms = 0;    ///< from the request to the last event
    decode::Generation end;
  };

  [[nodiscard]] bool is_chat() const { return options_.endpoint == Endpoint::kChat; }
  [[nodiscard]] Json head(bool chunk) const;
  [[nodiscard]] Json usage() const;
  [[nodiscard]] Json choice(size_t index, const Json& finish) const;
  /// Of the text's tokens from `first` on.
  [[nodiscard]] Json logprobs_json(const Text& text, size_t first) const;
  [[nodiscard]] Json chat_logprobs(std::span<const decode::TokenLogprob> tokens) const;
  /// The tokens begin at the character `offset` of the text.
  [[nodiscard]] Json completion_logprobs(std::span<const decode::TokenLogprob> tokens,
                                         int64_t offset) const;
  [[nodiscard]] int64_t characters(std::span<const decode::TokenLogprob> tokens) const;

  Clock::time_point begin_ = Clock::now();
  ReplyOptions options_;
  const tokenizer::Tokenizer& tokenizer_;
  std::vector<decode::Tracer> tracers_;
  std::vector<Text> texts_;
};

}  // namespace evo::serve
