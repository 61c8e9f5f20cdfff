#include "serve/service.h"

#include <algorithm>
#include <iterator>
#include <random>

#include "serve/api/request_error.h"

namespace evo::serve {
namespace {

/// OpenAI's defaults; what a gap can hold is what the network was trained on.
constexpr int64_t kCompletionTokens = 16, kInfillTokens = 64;

constexpr size_t kGrammars = 16;  // that are remembered

uint64_t random_seed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace

/// A prompt and the texts around what is generated, for traces.
struct Service::Framed {
  decode::Prompt prompt;
  std::string before, after;
};

Service::Service(const decode::Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
                 const std::filesystem::path& folder, std::string name, ServiceOptions options)
    : decoder_(decoder),
      tokenizer_(tokenizer),
      name_(std::move(name)),
      options_(std::move(options)),
      template_(chat::ChatTemplate::load(folder).with_variables(options_.template_variables)),
      chat_stops_(chat::chat_stops(template_, tokenizer)),
      first_seed_(random_seed()) {
  const int64_t most = decoder.model().config().max_position_embeddings - 1;
  int64_t& longest = options_.longest_prompt;
  longest = longest > 0 ? std::min(longest, most) : most;
}

void Service::check_tokens(std::span<const int32_t> tokens, const char* field) const {
  const auto wrong =
      std::ranges::find_if(tokens, [&](int32_t token) { return !tokenizer_.has(token); });
  if (wrong == tokens.end()) return;
  throw RequestError(kBadRequest,
                     fmt::format("{}: the token {} is not in the vocabulary of {} tokens", field,
                                 *wrong, tokenizer_.vocab_size()),
                     field, "invalid_value");
}

Order Service::order(const GenerationRequest& request) const {
  if (!request.model.empty() && request.model != name_) {
    throw RequestError(
        kNotFound,
        fmt::format("the model \"{}\" is not served here; \"{}\" is", request.model, name_),
        "model", "model_not_found");
  }
  const int64_t context = decoder_.model().config().max_position_embeddings;
  const int64_t usual = request.endpoint == Endpoint::kCompletion ? kCompletionTokens
                        : request.endpoint == Endpoint::kInfill   ? kInfillTokens
                                                                  : context;
  decode::GenerateOptions options;
  options.decode = decode_options(request);
  options.decode.max_tokens = std::min(request.max_tokens.value_or(usual), context);
  options.stop = request.stop;
  if (request.endpoint == Endpoint::kChat) {
    options.stop.insert(options.stop.end(), chat_stops_.begin(), chat_stops_.end());
  }
  Order order;
  const uint64_t seed = options.decode.seed;
  uint64_t text = 0;
  for (const Framed& framed : prompts_of(request, options.decode.max_tokens)) {
    check_prompt(framed.prompt, request.endpoint == Endpoint::kInfill);
    order.prompt_tokens += std::ssize(framed.prompt.tokens);
    for (int64_t i = 0; i < request.n; ++i) {
      options.decode.seed = seed + text++;
      order.jobs.push_back({framed.prompt, options});
      if (!request.trace) continue;
      order.tracers.emplace_back(decoder_, tokenizer_, options.decode, framed.prompt, framed.before,
                                 framed.after);
    }
  }
  return order;
}

decode::DecodeOptions Service::decode_options(const GenerationRequest& request) const {
  for (const auto& [token, bias] : request.shape.bias) {
    check_tokens(std::span(&token, 1), "logit_bias");
  }
  const bool flow = decoder_.model().config().flow;
  decode::DecodeOptions options;
  options.mode = request.mode.value_or(flow ? decode::Mode::kExact : decode::Mode::kAr);
  if (options.mode != decode::Mode::kAr && !flow) {
    throw RequestError(kBadRequest, "mode: this model has no evolving stream and knows \"ar\" only",
                       "mode", "invalid_value");
  }
  options.balance = request.balance;
  options.sampler = request.sampler;
  options.shape = request.shape;
  if (request.json) options.shape.grammar = grammar_of(request.schema);
  options.window = request.window;
  options.steps = request.steps;
  options.logprobs = request.logprobs;
  options.trace = request.trace;
  options.seed = request.seed.value_or(first_seed_ + kMostTexts * seeds_++);
  return options;
}

grammar::GrammarState Service::grammar_of(const std::string& schema) const {
  const std::scoped_lock lock(grammar_mutex_);
  const auto known =
      std::ranges::find(grammars_, schema, &std::pair<std::string, grammar::GrammarState>::first);
  if (known != grammars_.end()) {
    grammars_.splice(grammars_.begin(), grammars_, known);
    return known->second;
  }
  try {
    if (!trie_) {
      std::vector<int32_t> ends = decoder_.ends().tokens();
      std::ranges::copy(chat::single_tokens(chat_stops_, tokenizer_), std::back_inserter(ends));
      trie_ = std::make_shared<grammar::TokenTrie>(tokenizer_, ends);
    }
    const grammar::Grammar grammar = schema.empty() ? grammar::Grammar::json_object()
                                                    : grammar::Grammar::from_json_schema(schema);
    grammars_.emplace_front(schema, grammar::GrammarState(grammar, trie_));
  } catch (const Error& error) {
    throw RequestError(kBadRequest, fmt::format("response_format: {}", error.what()),
                       "response_format", "invalid_value");
  }
  if (grammars_.size() > kGrammars) grammars_.pop_back();
  return grammars_.front().second;
}

std::vector<Service::Framed> Service::prompts_of(const GenerationRequest& request,
                                                 int64_t max_tokens) const {
  std::vector<Framed> framed;
  switch (request.endpoint) {
    case Endpoint::kCompletion:
      for (const PromptText& prompt : request.prompts) {
        check_tokens(prompt.tokens, "prompt");
        if (prompt.tokens.empty()) {
          framed.push_back({decode::text_prompt(tokenizer_, prompt.text), prompt.text, ""});
        } else {
          framed.push_back(
              {decode::Prompt::of_text(prompt.tokens), tokenizer_.decode(prompt.tokens), ""});
        }
      }
      break;
    case Endpoint::kChat:
      framed.push_back({chat_prompt(request), "", ""});
      break;
    case Endpoint::kInfill:
      framed.push_back({decode::gap_prompt(tokenizer_, request.prefix, request.suffix, max_tokens),
                        request.prefix, request.suffix});
  }
  return framed;
}

decode::Prompt Service::chat_prompt(const GenerationRequest& request) const {
  chat::ChatTemplate chat_template = template_;
  if (!request.template_kwargs.empty()) {
    constexpr const char* kField = "chat_template_kwargs";
    try {
      chat_template =
          chat_template.with_variables(chat::template_variables(request.template_kwargs, kField));
    } catch (const Error& error) {
      throw RequestError(kBadRequest, error.what(), kField, "invalid_value");
    }
  }
  std::vector<int32_t> tokens;
  try {
    tokens = chat::encode_chat(chat_template, tokenizer_, request.messages);
  } catch (const Error& error) {  // a template may refuse an order of turns
    throw RequestError(kBadRequest, error.what(), "messages", "invalid_value");
  }
  if (tokens.empty()) {
    throw RequestError(kBadRequest, "the chat template makes no text of these messages", "messages",
                       "invalid_value");
  }
  return decode::Prompt::of_text(std::move(tokens));
}

void Service::check_prompt(const decode::Prompt& prompt, bool gap) const {
  const int64_t context = decoder_.model().config().max_position_embeddings;
  const int64_t reach = *std::ranges::max_element(prompt.positions);
  if (std::ssize(prompt.tokens) <= options_.longest_prompt && reach < context) return;
  throw RequestError(
      kBadRequest,
      fmt::format(
          "the prompt has {} tokens{}; at most {} are taken, in a context of {}: shorten it",
          prompt.tokens.size(),
          gap ? fmt::format(" and, with the gap, reaches to position {}", reach) : "",
          options_.longest_prompt, context),
      "prompt", "context_length_exceeded");
}

}  // namespace evo::serve
