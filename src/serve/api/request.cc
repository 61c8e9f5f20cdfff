#include "serve/api/request.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>

#include "serve/api/fields.h"
#include "serve/api/request_error.h"
#include "serve/api/unsupported_fields.h"

namespace evo::serve {
namespace {

constexpr int64_t kMostTokens = std::numeric_limits<int32_t>::max();
constexpr size_t kLongestStop = 1024;  // bytes

bool is_tokens(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::ranges::all_of(value, [](const Json& id) { return id.is_number_integer(); });
}

std::vector<int32_t> tokens_of(const Fields& fields, const char* name, const Json& value) {
  std::vector<int32_t> tokens;
  for (const Json& id : value) {
    const bool fits = !(id.is_number_unsigned() && !std::in_range<int32_t>(id.get<uint64_t>())) &&
                      std::in_range<int32_t>(id.get<int64_t>()) && id.get<int64_t>() >= 0;
    if (!fits) fields.refuse(name, "token ids of the model's vocabulary");
    tokens.push_back(id.get<int32_t>());
  }
  return tokens;
}

void requested_prompts(Fields& fields, GenerationRequest& request) {
  constexpr const char* kName = "prompt";
  constexpr const char* kExpected =
      "a text, an array of texts, an array of token ids or an array of such arrays";
  const Json* value = fields.find(kName);
  if (value == nullptr) fields.refuse(kName, kExpected);
  const auto add = [&](const Json& one) {
    if (one.is_string()) {
      request.prompts.push_back({one.get<std::string>(), {}});
    } else if (is_tokens(one)) {
      request.prompts.push_back({"", tokens_of(fields, kName, one)});
    } else {
      fields.refuse(kName, kExpected);
    }
  };
  if (value->is_array() && !value->empty() && !is_tokens(*value)) {
    for (const Json& one : *value) add(one);
  } else {
    add(*value);
  }
}

/// A text, or parts of which each is one.
std::string read_content(Fields& message) {
  constexpr const char* kName = "content";
  const Json* value = message.find(kName);
  if (value == nullptr) message.refuse(kName, "a text");
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) message.refuse(kName, "a text or an array of parts");
  std::string content;
  for (const Json& part : *value) {
    const bool is_text = part.is_object() && part.value("type", Json()) == "text" &&
                         part.contains("text") && part["text"].is_string();
    if (!is_text) message.refuse(kName, "parts of the type \"text\" only");
    content += part["text"].get<std::string>();
  }
  return content;
}

void read_messages(Fields& fields, GenerationRequest& request) {
  constexpr const char* kName = "messages";
  const Json* value = fields.find(kName);
  if (value == nullptr || !value->is_array() || value->empty()) {
    fields.refuse(kName, "an array of messages, at least one");
  }
  for (size_t i = 0; i < value->size(); ++i) {
    Fields message((*value)[i], fmt::format("{}[{}].", kName, i));
    const std::string role = message.text("role");
    const bool known =
        role == "system" || role == "developer" || role == "user" || role == "assistant";
    if (!known) message.refuse("role", "system, developer, user or assistant");
    for (const char* name : {"tool_calls", "function_call"}) {
      const Json* call = message.find(name);
      if (call != nullptr && !call->empty()) message.refuse_as_unsupported(name, "leave it out");
    }
    // Models know the developer's messages by their older name.
    request.messages.push_back({role == "developer" ? "system" : role, read_content(message)});
    std::ranges::copy(message.unknown(), std::back_inserter(request.unknown));
  }
  constexpr const char* kVariables = "chat_template_kwargs";
  if (const Json* variables = fields.find(kVariables)) {
    if (!variables->is_object()) fields.refuse(kVariables, "an object");
    request.template_kwargs = variables->dump();
  }
}

/// The names of both worlds: OpenAI's and llama.cpp's.
std::string either(Fields& fields, const char* name, const char* other) {
  const bool both = fields.find(name) != nullptr && fields.find(other) != nullptr;
  if (both) fields.refuse(other, fmt::format("no second name of \"{}\"", name));
  return fields.find(name) != nullptr ? fields.text(name) : fields.text(other);
}

void read_stop(Fields& fields, GenerationRequest& request) {
  constexpr const char* kName = "stop";
  const std::string expected =
      fmt::format("a text or an array of at most {} texts, none empty or longer than {} bytes",
                  kMostStops, kLongestStop);
  const Json* value = fields.find(kName);
  if (value == nullptr) return;
  const Json list = value->is_array() ? *value : Json::array({*value});
  if (std::ssize(list) > kMostStops) fields.refuse(kName, expected);
  for (const Json& one : list) {
    if (!one.is_string()) fields.refuse(kName, expected);
    request.stop.push_back(one.get<std::string>());
    const size_t size = request.stop.back().size();
    if (size == 0 || size > kLongestStop) fields.refuse(kName, expected);
  }
}

/// Other servers know numbers that mean what leaving the field out does.
bool is_default(Fields& fields, const char* name, int64_t number) {
  const Json* value = fields.find(name);
  return value != nullptr && value->is_number() &&
         value->get<double>() == static_cast<double>(number);
}

void read_length(Fields& fields, GenerationRequest& request) {
  for (const char* name : {"max_tokens", "max_completion_tokens", "n_predict"}) {
    if (fields.find(name) == nullptr || is_default(fields, name, -1)) continue;
    if (request.max_tokens) fields.refuse(name, "one name of the largest number of tokens");
    request.max_tokens = fields.whole(name, 1, 1, kMostTokens);
  }
}

void read_sampling(Fields& fields, GenerationRequest& request) {
  decode::SamplerOptions& sampler = request.sampler;
  sampler.temperature = fields.number("temperature", sampler.temperature, 0, 100);
  if (!is_default(fields, "top_p", 0)) {
    sampler.top_p = fields.number("top_p", sampler.top_p, 0, 1);
  }
  sampler.top_k = fields.whole("top_k", sampler.top_k, -1, kMostTokens);
  if (sampler.top_k < 0) sampler.top_k = 0;  // all, as other servers have it
  if (fields.find("seed") != nullptr && !is_default(fields, "seed", -1)) {
    request.seed =
        static_cast<uint64_t>(fields.whole("seed", 0, 0, std::numeric_limits<int64_t>::max()));
  }
}

/// An object with token ids as names. -100 and 100 mean never and always, which they do for any
/// logits that a model has.
void read_bias(Fields& fields, GenerationRequest& request) {
  constexpr const char* kName = "logit_bias";
  const std::string expected = fmt::format(
      "an object of at most {} token ids, each with a number from -100 to 100", kMostBiases);
  const Json* value = fields.find(kName);
  if (value == nullptr || value->empty()) return;
  if (!value->is_object() || std::ssize(*value) > kMostBiases) fields.refuse(kName, expected);
  for (const auto& [name, bias] : value->items()) {
    int32_t token = -1;
    const char* const end = name.data() + name.size();
    const bool is_id = std::from_chars(name.data(), end, token).ptr == end && token >= 0;
    const bool is_bias = bias.is_number() && std::abs(bias.get<double>()) <= 100;
    if (!is_id || !is_bias) fields.refuse(kName, expected);
    request.shape.bias.emplace_back(token, bias.get<float>());
  }
}

/// OpenAI's {"type": "json_schema", "json_schema": {"schema": ...}} and llama.cpp's {"type":
/// "json_object", "schema": ...}.
void read_format(Fields& fields, GenerationRequest& request) {
  constexpr const char* kName = "response_format";
  const Json* value = fields.find(kName);
  if (value == nullptr) return;
  Fields format(*value, "response_format.");
  const std::string type = format.text("type");
  const auto read_schema = [&](Fields& holder) {
    const Json* schema = holder.find("schema");
    if (schema != nullptr) request.schema = schema->dump();
    return schema != nullptr;
  };
  if (type == "json_schema") {
    const Json* inner = format.find("json_schema");
    if (inner == nullptr) format.refuse("json_schema", "an object with a schema");
    Fields holder(*inner, "response_format.json_schema.");
    if (!read_schema(holder)) holder.refuse("schema", "a JSON Schema");
  } else if (type == "json_object") {
    (void)read_schema(format);
  } else if (type != "text") {
    format.refuse("type", "text, json_object or json_schema");
  }
  request.json = type != "text";
  if (request.json && request.mode == decode::Mode::kDiffusion) {
    fields.refuse_as_unsupported(kName,
                                 "diffusion mode settles tokens in any order: ask for exact "
                                 "or evo");
  }
}

void read_shape(Fields& fields, GenerationRequest& request) {
  decode::ShapeOptions& shape = request.shape;
  shape.presence_penalty = fields.number("presence_penalty", 0, -2, 2);
  shape.frequency_penalty = fields.number("frequency_penalty", 0, -2, 2);
  constexpr const char* kRepetition = "repetition_penalty";
  shape.repetition_penalty =
      fields.number(kRepetition, shape.repetition_penalty, 0, decode::kMaxRepetitionPenalty);
  if (shape.repetition_penalty <= 0) fields.refuse(kRepetition, "a number above 0");
  read_bias(fields, request);
}

/// Mode and balance say the same thing in two ways, which must not contradict each other.
void read_mode(Fields& fields, GenerationRequest& request) {
  if (fields.find("balance") != nullptr) {
    const double balance = request.balance = fields.number("balance", 0, 0, 1);
    request.mode = balance == 0   ? decode::Mode::kExact
                   : balance == 1 ? decode::Mode::kDiffusion
                                  : decode::Mode::kEvo;
  }
  if (fields.find("mode") != nullptr) {
    constexpr const char* kExpected = "ar, exact, evo or diffusion, as the balance has it";
    const std::string name = fields.text("mode");
    std::optional<decode::Mode> named;
    for (const decode::Mode mode :
         {decode::Mode::kAr, decode::Mode::kExact, decode::Mode::kEvo, decode::Mode::kDiffusion}) {
      if (name == decode::mode_name(mode)) named = mode;
    }
    if (!named || (request.mode && request.mode != named)) fields.refuse("mode", kExpected);
    request.mode = named;
  }
  request.window = fields.whole("window", 0, 0, 1024);
  request.steps = fields.whole("steps", 1, 1, 4096);
}

void read_logprobs(Fields& fields, GenerationRequest& request) {
  if (request.endpoint == Endpoint::kChat) {
    const bool wanted = fields.flag("logprobs", false);
    const int64_t alternatives = fields.whole("top_logprobs", 0, 0, kMostAlternatives);
    if (alternatives > 0 && !wanted) fields.refuse("top_logprobs", "\"logprobs\": true beside it");
    request.logprobs = wanted ? alternatives : -1;
  } else {
    request.logprobs = fields.whole("logprobs", -1, 0, kMostAlternatives);
  }
  if (request.logprobs >= 0 && request.mode == decode::Mode::kDiffusion) {
    fields.refuse_as_unsupported("logprobs",
                                 "diffusion mode asks the model for no such probabilities");
  }
}

void read_stream(Fields& fields, GenerationRequest& request) {
  request.stream = fields.flag("stream", false);
  request.trace = fields.flag("trace", false);
  if (request.trace && !request.stream) fields.refuse("trace", "\"stream\": true beside it");
  if (const Json* value = fields.find("stream_options")) {
    Fields options(*value, "stream_options.");
    if (!request.stream) fields.refuse("stream_options", "\"stream\": true beside it");
    request.include_usage = options.flag("include_usage", false);
  }
}

void read_texts(Fields& fields, GenerationRequest& request) {
  switch (request.endpoint) {
    case Endpoint::kCompletion:
      return requested_prompts(fields, request);
    case Endpoint::kChat:
      return read_messages(fields, request);
    case Endpoint::kInfill:
      request.prefix = either(fields, "prefix", "input_prefix");
      request.suffix = either(fields, "suffix", "input_suffix");
  }
}

}  // namespace

GenerationRequest parse_generation(Endpoint endpoint, std::string_view body,
                                   const decode::GenerationDefaults& defaults) {
  const Json value = Fields::parse(body);
  Fields fields(value);
  GenerationRequest request;
  request.endpoint = endpoint;
  defaults.apply(request.sampler, request.shape);
  read_texts(fields, request);
  request.model = fields.text("model");
  (void)fields.text("user");  // of use to the client's own records only
  request.n = fields.whole("n", 1, 1, kMostTexts);
  const auto texts = request.n * std::max<int64_t>(1, std::ssize(request.prompts));
  if (texts > kMostTexts) {
    fields.refuse("prompt", fmt::format("at most {} texts, n for each prompt", kMostTexts));
  }
  read_stop(fields, request);
  read_length(fields, request);
  read_sampling(fields, request);
  read_shape(fields, request);
  read_mode(fields, request);
  read_format(fields, request);
  read_logprobs(fields, request);
  read_stream(fields, request);
  refuse_unsupported(fields, endpoint);
  std::ranges::copy(fields.unknown(), std::back_inserter(request.unknown));
  return request;
}

TokenizeRequest parse_tokenize(std::string_view body) {
  const Json value = Fields::parse(body);
  Fields fields(value);
  if (fields.find("content") == nullptr) fields.refuse("content", "a text");
  return {fields.text("content"), fields.flag("add_special", false),
          fields.flag("parse_special", false)};
}

std::vector<int32_t> parse_detokenize(std::string_view body) {
  const Json value = Fields::parse(body);
  Fields fields(value);
  const Json* tokens = fields.find("tokens");
  const bool is_list = tokens != nullptr && tokens->is_array();
  if (!is_list || (!tokens->empty() && !is_tokens(*tokens))) {
    fields.refuse("tokens", "an array of token ids");
  }
  return tokens_of(fields, "tokens", *tokens);
}

}  // namespace evo::serve
