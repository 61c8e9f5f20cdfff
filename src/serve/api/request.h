// What clients ask for, read from their JSON and checked field by field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decode/sampling/generation_defaults.h"
#include "decode/session/session.h"
#include "text/chat_message.h"

namespace evo::serve {

enum class Endpoint { kCompletion, kChat, kInfill };

inline constexpr int64_t kMostTexts = 16;  ///< that one request may ask for
inline constexpr int64_t kMostStops = 16;
inline constexpr int64_t kMostBiases = 1024;
inline constexpr int64_t kMostAlternatives = 20;  ///< of a token, with log probabilities

/// A text to continue, as text or as tokens.
struct PromptText {
  std::string text;
  std::vector<int32_t> tokens;  ///< not empty: these, as they are
};

struct GenerationRequest {
  Endpoint endpoint = Endpoint::kCompletion;
  std::vector<PromptText> prompts;  ///< kCompletion
  bool parse_special = true;        ///< names of special tokens in their texts are those tokens
  std::vector<text::ChatMessage> messages;  ///< kChat
  std::string template_kwargs;              ///< JSON of variables of the chat template; empty: none
  std::string prefix, suffix;               ///< kInfill

  std::string model;  ///< empty: not named
  int64_t n = 1;      ///< texts per prompt
  std::vector<std::string> stop;
  std::optional<uint64_t> seed;
  std::optional<int64_t> max_tokens;
  decode::SamplerOptions sampler{.temperature = 1};
  decode::ShapeOptions shape;        ///< without the grammar, which is made of the next two
  bool json = false;                 ///< the text is to be JSON:
  std::string schema;                ///< as this JSON Schema has it; empty: any object
  std::optional<decode::Mode> mode;  ///< nothing: what suits the model
  double balance = 0.5;
  int64_t window = 0, steps = 1;
  int64_t logprobs = -1;  ///< alternatives per token; negative: none asked for
  bool stream = false, include_usage = false, trace = false;

  std::vector<std::string> unknown;  ///< fields that mean nothing here
};

/// Throw RequestError (400) for what is no such request. What it says nothing of is as `defaults`
/// have it or, where these are silent too, as OpenAI's servers do.
[[nodiscard]] GenerationRequest parse_generation(Endpoint endpoint, std::string_view body,
                                                 const decode::GenerationDefaults& defaults = {});

struct TokenizeRequest {
  std::string text;
  bool framed = false;   ///< begin as a text of its own does
  bool special = false;  ///< names of special tokens are those tokens
};
[[nodiscard]] TokenizeRequest parse_tokenize(std::string_view body);
[[nodiscard]] std::vector<int32_t> parse_detokenize(std::string_view body);

}  // namespace evo::serve
