#include <algorithm>
#include <cmath>
#include <evo/model.hpp>
#include <iterator>
#include <mutex>
#include <numeric>
#include <utility>

#include "api/entry.h"
#include "api/learnt_costs.h"
#include "api/options.h"
#include "chat/chat_template.h"
#include "decode/generate.h"
#include "decode/loaded_model.h"
#include "decode/mode_choice.h"
#include "decode/sampling/generation_defaults.h"
#include "text/utf8.h"

namespace evo::api {
namespace {

evo::decode::Mode inner_mode(Mode mode) {
  switch (mode) {
    case Mode::kAr:
      return evo::decode::Mode::kAr;
    case Mode::kExact:
      return evo::decode::Mode::kExact;
    case Mode::kEvo:
      return evo::decode::Mode::kEvo;
    case Mode::kDiffusion:
      return evo::decode::Mode::kDiffusion;
  }
  throw evo::UsageError("mode: expected kAr, kExact, kEvo or kDiffusion");
}

std::vector<text::ChatMessage> inner_messages(std::span<const Message> messages) {
  std::vector<text::ChatMessage> result;
  for (const Message& message : messages) result.push_back({message.role, message.content});
  return result;
}

Finish finish_of(std::string_view finish) {
  for (const Finish known : {Finish::kEnd, Finish::kStop, Finish::kLength}) {
    if (finish == name(known)) return known;
  }
  return Finish::kInterrupted;
}

decode::DecodeOptions decode_options(const GenerateOptions& options,
                                     const model::ModelConfig& config) {
  if (options.max_tokens < 0) {
    throw evo::UsageError(fmt::format("max_tokens {}: expected 0 or more", options.max_tokens));
  }
  decode::DecodeOptions decode;
  decode::ModeChoice choice;
  if (options.mode) choice.mode = inner_mode(*options.mode);
  choice.balance = options.balance;
  choice.apply(decode);
  choice.suit(config, decode);
  decode.sampler = {options.temperature, options.top_k, options.top_p};
  const double penalty = options.repetition_penalty;
  if (!(penalty > 0 && penalty <= decode::kMaxRepetitionPenalty)) {
    throw evo::UsageError(fmt::format("repetition_penalty {}: expected above 0, at most {}",
                                      penalty, decode::kMaxRepetitionPenalty));
  }
  decode.shape.repetition_penalty = penalty;
  decode.max_tokens = options.max_tokens;
  decode.seed = options.seed;
  return decode;
}

/// What is set once for a text.
struct Order {
  evo::decode::Prompt prompt;
  evo::decode::GenerateOptions options;
};

}  // namespace

std::string_view name(Finish finish) {
  switch (finish) {
    case Finish::kEnd:
      return "end";
    case Finish::kStop:
      return "stop";
    case Finish::kLength:
      return "length";
    case Finish::kInterrupted:
      return "interrupted";
  }
  return "?";
}

double Score::total() const {
  return std::accumulate(logprobs.begin(), logprobs.end(), 0.0);
}

double Score::nats_per_token() const {
  return logprobs.empty() ? std::nan("") : -total() / static_cast<double>(logprobs.size());
}

struct Model::Impl {
  Impl(const std::filesystem::path& path, const OpenOptions& options)
      : folder(path),
        loaded(decode::load_model(path.string(), inner_precision(options.precision),
                                  inner_cache_format(options.kv_cache))),
        decoder(loaded.model, loaded.tokenizer),
        costs(decoder, loaded.model.precision(), options.cache_folder) {
    const model::ModelConfig& config = loaded.model.config();
    info.parameters = model::model_cost(config, config.max_position_embeddings).parameters();
    info.vocabulary = loaded.tokenizer.vocab_size();
    info.context = config.max_position_embeddings;
    info.family = config.family();
    info.evolves = config.flow;
    info.precision = outer_precision(loaded.model.precision());
  }

  [[nodiscard]] const tokenizer::Tokenizer& tokenizer() const { return loaded.tokenizer; }

  /// Read when first asked for: a model whose template is damaged can still continue texts.
  [[nodiscard]] const chat::ChatTemplate& chat_template() const {
    const std::scoped_lock lock(chat_mutex);
    if (!chat) chat.emplace(chat::ChatTemplate::load(folder));
    return *chat;
  }

  [[nodiscard]] std::vector<int32_t> encode_messages(std::span<const Message> messages) const {
    std::vector<int32_t> tokens =
        chat::encode_chat(chat_template(), tokenizer(), inner_messages(messages));
    if (tokens.empty()) fail("the chat template makes no text of this conversation");
    return tokens;
  }

  [[nodiscard]] std::vector<int32_t> checked(std::vector<int32_t> tokens) const {
    if (tokens.empty()) throw evo::UsageError("the prompt: expected tokens, found none");
    for (const int32_t token : tokens) check_token(token);
    return tokens;
  }

  void check_token(int32_t token) const {
    const int64_t size = loaded.model.config().vocab_size;
    if (token >= 0 && token < size) return;
    throw evo::UsageError(
        fmt::format("the token {} is not in the vocabulary of {} tokens", token, size));
  }

  /// `room`: tokens between the texts of a gap.
  [[nodiscard]] evo::decode::Prompt prompt(const Prompt& asked, int64_t room) const {
    if (const auto* text = std::get_if<std::string>(&asked)) {
      return decode::text_prompt(tokenizer(), *text, decode::NamesInText::kSpecial);
    }
    if (const auto* messages = std::get_if<std::vector<Message>>(&asked)) {
      return evo::decode::Prompt::of_text(encode_messages(*messages));
    }
    if (const auto* tokens = std::get_if<std::vector<int32_t>>(&asked)) {
      return evo::decode::Prompt::of_text(checked(*tokens));
    }
    const Gap& gap = std::get<Gap>(asked);
    return decode::gap_prompt(tokenizer(), gap.before, gap.after, room);
  }

  [[nodiscard]] Order order(const Prompt& asked, const GenerateOptions& options) const {
    Order order;
    order.options.decode = decode_options(options, loaded.model.config());
    order.options.stop = options.stop;
    order.prompt = prompt(asked, std::min(options.max_tokens, info.context));
    std::vector<int32_t> ends = decoder.ends().tokens();
    if (std::holds_alternative<std::vector<Message>>(asked)) {
      const std::vector<std::string> turns = chat::chat_stops(chat_template(), tokenizer());
      order.options.stop.insert(order.options.stop.end(), turns.begin(), turns.end());
      std::ranges::copy(chat::single_tokens(turns, tokenizer()), std::back_inserter(ends));
    }
    if (options.json_schema.empty()) return order;
    if (order.options.decode.mode == evo::decode::Mode::kDiffusion) {
      throw evo::UsageError(
          "json_schema: diffusion mode settles tokens in any order; use mode exact, evo or ar");
    }
    order.options.decode.shape.grammar =
        grammar::GrammarState(grammar::Grammar::from_json_schema(options.json_schema),
                              std::make_shared<grammar::TokenTrie>(tokenizer(), ends));
    return order;
  }

  const std::filesystem::path folder;
  const decode::LoadedModel loaded;
  const decode::Decoder decoder;
  const LearntCosts costs;
  ModelInfo info;
  mutable std::mutex mutex;  // of passes: they share threads, and what the decoder learns
  mutable std::mutex chat_mutex;
  mutable std::optional<chat::ChatTemplate> chat;
};

namespace {

/// Whether a text is all that the grammar, which has seen nothing yet, asks for. The space that it
/// may begin with goes: some tokenizers would add another one.
bool is_complete(grammar::GrammarState grammar, std::string_view text,
                 const tokenizer::Tokenizer& tokenizer) {
  if (text.starts_with(' ')) text.remove_prefix(1);
  const std::vector<int32_t> tokens = tokenizer.encode(text);
  return std::ranges::all_of(tokens, [&](int32_t token) { return grammar.advance(token); }) &&
         grammar.complete();
}

Generation result_of(evo::decode::Generation&& own, const Order& order,
                     const tokenizer::Tokenizer& tokenizer) {
  Generation result;
  own.text.resize(own.text.size() - text::incomplete_utf8_suffix(own.text));
  result.text = std::move(own.text);
  result.finish = finish_of(own.finish);
  result.passes = own.passes;
  result.drafted = own.drafted;
  result.accepted = own.accepted;
  result.seconds = own.seconds;
  result.tokens_per_forward = own.tokens_per_forward();
  result.tokens = std::move(own.tokens);
  const std::optional<grammar::GrammarState>& grammar = order.options.decode.shape.grammar;
  result.json_complete = grammar && is_complete(*grammar, result.text, tokenizer);
  return result;
}

}  // namespace

Model::Model(const std::filesystem::path& folder, const OpenOptions& options,
             const std::stop_token& stop)
    : impl_(enter([&] {
        CallerWatcher caller([&] { return stop.stop_requested(); });
        const WatchScope scope(caller);
        choose_threads(options.threads);
        return std::make_unique<Impl>(folder, options);
      })) {}

Model::Model(Model&& other) noexcept = default;
Model& Model::operator=(Model&& other) noexcept = default;
Model::~Model() = default;

const Model::Impl& Model::impl() const {
  if (!impl_) throw UsageError("this model was moved to another object: use that one");
  return *impl_;
}

const ModelInfo& Model::info() const {
  return impl().info;
}

GenerateOptions Model::own_options() const {
  return enter([&] {
    decode::DecodeOptions own;
    decode::GenerationDefaults::load(impl().folder).apply(own.sampler, own.shape);
    GenerateOptions options;
    options.temperature = own.sampler.temperature;
    options.top_k = own.sampler.top_k;
    options.top_p = own.sampler.top_p;
    options.repetition_penalty = own.shape.repetition_penalty;
    return options;
  });
}

std::vector<int32_t> Model::encode(std::string_view text) const {
  return enter([&] { return impl().tokenizer().encode(text); });
}

std::string Model::decode(std::span<const int32_t> tokens) const {
  return enter([&] {
    for (const int32_t token : tokens) impl().check_token(token);
    return impl().tokenizer().decode(tokens);
  });
}

int64_t Model::count(std::string_view text) const {
  return std::ssize(encode(text));
}

std::string Model::apply_template(std::span<const Message> messages) const {
  return enter([&] { return impl().chat_template().render(inner_messages(messages), true); });
}

Generation Model::generate(const Prompt& prompt, const GenerateOptions& options,
                           const OnText& on_text, const std::stop_token& stop) const {
  CallbackGuard guard;
  Generation result = enter([&] {
    const Impl& own = impl();
    Order order = own.order(prompt, options);
    bool wanted = true;
    order.options.stop_asked = [&] {
      return !wanted || guard.has_thrown() || stop.stop_requested();
    };
    std::string held;  // of a text that is cut, half a character
    const auto on_pass = [&](std::string_view text, const decode::PassTrace&) {
      held += text;
      const std::string piece = held.substr(0, held.size() - text::incomplete_utf8_suffix(held));
      held.erase(0, piece.size());
      if (on_text && !piece.empty()) guard.call([&] { wanted = on_text(piece); });
    };
    const std::scoped_lock lock(own.mutex);
    return result_of(
        evo::decode::generate(own.decoder, own.tokenizer(), order.prompt, order.options, on_pass),
        order, own.tokenizer());
  });
  guard.rethrow();
  return result;
}

Score Model::score(std::string_view text, const Prompt& context) const {
  return enter([&] {
    const Impl& own = impl();
    Score score;
    score.tokens = own.tokenizer().encode(text);
    const evo::decode::Prompt before = own.prompt(context, std::ssize(score.tokens));
    const int64_t length = std::ssize(before.tokens) + std::ssize(score.tokens);
    if (length - 1 > own.info.context) {
      fail(
          "the text has {} tokens and what stands before it {}, more than the {} of this model's "
          "context: score it in parts",
          score.tokens.size(), before.tokens.size(), own.info.context);
    }
    const std::scoped_lock lock(own.mutex);
    for (const double nats : decode::ar_nats(own.loaded.model, before, score.tokens)) {
      score.logprobs.push_back(-nats);
    }
    return score;
  });
}

}  // namespace evo::api
