// Any bytes as the body of any request: what is asked for is within its limits, or the client is
// told what is wrong in an error that is JSON.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "grammar/grammar.h"
#include "serve/api/reply.h"
#include "serve/api/request.h"

namespace {

void check(const evo::serve::GenerationRequest& request) {
  EVO_CHECK(request.n >= 1 && request.n <= evo::serve::kMostTexts);
  EVO_CHECK(std::ssize(request.prompts) * request.n <= evo::serve::kMostTexts);
  EVO_CHECK(std::ssize(request.stop) <= evo::serve::kMostStops);
  EVO_CHECK(request.steps >= 1 && request.window >= 0 && request.max_tokens.value_or(1) >= 1);
  EVO_CHECK(request.logprobs <= evo::serve::kMostAlternatives);
  EVO_CHECK(request.balance >= 0 && request.balance <= 1);
  evo::decode::validate(request.sampler);
  EVO_CHECK(request.json || request.schema.empty());
  if (request.schema.empty()) return;
  try {
    (void)evo::grammar::Grammar::from_json_schema(request.schema);
  } catch (const evo::Error&) {
  }
}

template <class Parse>
void attempt(const Parse& parse) {
  try {
    parse();
  } catch (const evo::serve::RequestError& error) {
    EVO_CHECK(error.status() == evo::serve::kBadRequest);
    (void)evo::serve::Json::parse(evo::serve::dump(evo::serve::error_json(error)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  using enum evo::serve::Endpoint;
  for (const evo::serve::Endpoint endpoint : {kCompletion, kChat, kInfill}) {
    attempt([&] { check(evo::serve::parse_generation(endpoint, body)); });
  }
  attempt([&] { (void)evo::serve::parse_tokenize(body); });
  attempt([&] { (void)evo::serve::parse_detokenize(body); });
  return 0;
}
