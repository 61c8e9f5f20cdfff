// The model that is served, and how requests become texts to generate.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "chat/chat_template.h"
#include "decode/trace/trace.h"
#include "serve/api/request.h"
#include "serve/engine.h"

namespace evo::serve {

/// A request that is ready for the engine.
struct Order {
  std::vector<Job> jobs;
  int64_t prompt_tokens = 0;            ///< each prompt counted once, whatever n is
  std::vector<decode::Tracer> tracers;  ///< one per job, if the request asks for a trace
};

struct ServiceOptions {
  int64_t longest_prompt = 0;           ///< tokens of a prompt at most; 0: what the context holds
  decode::GenerationDefaults defaults;  ///< of requests that say nothing else
  jinja::Variables template_variables;  ///< of the chat template, likewise
};

/// May be used by any number of threads.
class Service {
 public:
  /// `folder` is the model's, for its chat template; `name` is what clients call it. Decoder and
  /// tokenizer must outlive the object.
  Service(const decode::Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
          const std::filesystem::path& folder, std::string name, ServiceOptions options = {});

  /// Throws RequestError: 400 for what this model cannot do, 404 for another model.
  [[nodiscard]] Order order(const GenerationRequest& request) const;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const decode::GenerationDefaults& defaults() const { return options_.defaults; }
  [[nodiscard]] const tokenizer::Tokenizer& tokenizer() const { return tokenizer_; }
  /// Throws RequestError (400) for an id that the tokenizer does not have.
  void check_tokens(std::span<const int32_t> tokens, const char* field) const;

 private:
  struct Framed;

  [[nodiscard]] decode::DecodeOptions decode_options(const GenerationRequest& request) const;
  [[nodiscard]] grammar::GrammarState grammar_of(const std::string& schema) const;
  [[nodiscard]] std::vector<Framed> prompts_of(const GenerationRequest& request,
                                               int64_t max_tokens) const;
  [[nodiscard]] decode::Prompt chat_prompt(const GenerationRequest& request) const;
  void check_prompt(const decode::Prompt& prompt, bool gap) const;

  const decode::Decoder& decoder_;
  const tokenizer::Tokenizer& tokenizer_;
  std::string name_;
  ServiceOptions options_;
  // Made when first asked for. What is found out about a grammar is of use to the next request.
  mutable std::mutex grammar_mutex_;
  mutable std::shared_ptr<const grammar::TokenTrie> trie_;
  mutable std::list<std::pair<std::string, grammar::GrammarState>>
      grammars_;  // by schema, latest first
  chat::ChatTemplate template_;
  std::vector<std::string> chat_stops_;
  uint64_t first_seed_;  // of requests that name none
  mutable std::atomic<uint64_t> seeds_ = 0;
};

}  // namespace evo::serve
