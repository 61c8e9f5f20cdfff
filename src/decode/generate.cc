#include "decode/generate.h"

#include <chrono>
#include <cmath>
#include <numeric>

#include "decode/prefix_cache.h"
#include "decode/text_batch.h"
#include "model/forward_texts.h"
#include "text/utf8.h"

namespace evo::decode {
namespace {

/// Longest suffix of `text` that is a proper prefix of a stop string.
size_t possible_stop(std::string_view text, const std::vector<std::string>& stops) {
  size_t longest = 0;
  for (const std::string& stop : stops) {
    for (size_t length = std::min(stop.size() - 1, text.size()); length > longest; --length) {
      if (text.ends_with(std::string_view(stop).substr(0, length))) longest = length;
    }
  }
  return longest;
}

size_t find_stop(std::string_view text, const std::vector<std::string>& stops) {
  size_t first = std::string_view::npos;
  for (const std::string& stop : stops) first = std::min(first, text.find(stop));
  return first;
}

/// What is written into a gap ends as training marks it, whatever ends other texts of the model.
EndTokens ends_of(const Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
                  const Prompt& prompt) {
  EndTokens ends = decoder.ends();
  if (prompt.is_gap() || ends.tokens().empty()) ends.add(tokenizer.end_of_text());
  return ends;
}

/// A stop string cuts the text; tokens wholly behind the cut do not count.
void drop_unseen_tokens(Generation& result, const tokenizer::Tokenizer& tokenizer) {
  std::vector<int32_t>& tokens = result.tokens;
  while (!tokens.empty()) {
    const auto fewer = std::span(tokens).first(tokens.size() - 1);
    if (tokenizer.decode_more(fewer).size() < result.text.size()) return;
    tokens.pop_back();
  }
}

}  // namespace

double Generation::tokens_per_forward() const {
  return passes > 0 ? static_cast<double>(tokens.size()) / static_cast<double>(passes) : 0;
}

double Generation::tokens_per_second() const {
  return seconds > 0 ? static_cast<double>(tokens.size()) / seconds : 0;
}

Prompt text_prompt(const tokenizer::Tokenizer& tokenizer, std::string_view text,
                   NamesInText names) {
  const std::span<const int32_t> begin = tokenizer.begin_of_text();
  std::vector<int32_t> tokens(begin.begin(), begin.end());
  tokenizer.encode_append(text, tokens, {.special = names == NamesInText::kSpecial});
  // Something must stand before the first token.
  if (tokens.empty()) tokens = {tokenizer.need_end_of_text()};
  return Prompt::of_text(std::move(tokens));
}

Prompt gap_prompt(const tokenizer::Tokenizer& tokenizer, std::string_view prefix,
                  std::string_view suffix, int64_t room, NamesInText names) {
  std::vector<int32_t> after;
  tokenizer.encode_append(suffix, after, {.special = names == NamesInText::kSpecial});
  return Prompt::of_gap(text_prompt(tokenizer, prefix, names).tokens, after, room);
}

TextGeneration::TextGeneration(const Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
                               const Prompt& prompt, const GenerateOptions& options,
                               PromptReading reading, std::optional<model::KvCache> cache)
    : tokenizer_(tokenizer),
      stop_(options.stop),
      session_(decoder, options.decode, prompt, ends_of(decoder, tokenizer, prompt), reading,
               std::move(cache)) {
  for (const std::string& stop : stop_) {
    if (stop.empty()) throw UsageError("--stop: expected a text, found an empty one");
  }
  if (!options.sketch.empty()) session_.begin_from(options.sketch, options.sketch_time);
}

std::string_view TextGeneration::take() {
  const auto fresh = session_.generated().subspan(read_);
  read_ += fresh.size();
  text_ += tokenizer_.decode_more(fresh);
  const size_t stop = find_stop(text_, stop_);
  stopped_ = stop != std::string::npos;
  if (stopped_) text_.resize(stop);
  const size_t held =
      done() ? 0 : std::max(text::incomplete_utf8_suffix(text_), possible_stop(text_, stop_));
  const size_t before = shown_;
  shown_ = std::max(shown_, text_.size() - held);
  return std::string_view(text_).substr(before, shown_ - before);
}

Generation TextGeneration::result() const {
  Generation result;
  result.text = text_;
  result.finish = stopped_           ? "stop"
                  : session_.ended() ? "end"
                  : session_.done()  ? "length"
                                     : "interrupted";
  result.tokens.assign(session_.generated().begin(), session_.generated().end());
  if (stopped_) drop_unseen_tokens(result, tokenizer_);
  result.passes = session_.passes();
  result.known = session_.known();
  result.drafted = session_.drafted();
  result.accepted = session_.accepted();
  return result;
}

namespace {

/// The only one of its batch.
struct OnlyText {
  void on_pass(std::string_view piece, const PassTrace& pass) const {
    if (told) told(piece, pass);
  }
  /// At its end or, if it is interrupted, where it has come.
  void on_end() {
    result = generation.result();
    if (prefixes != nullptr) prefixes->keep(generation.session());
  }

  TextGeneration generation;
  const OnPass& told;
  PrefixCache* prefixes;
  Generation& result;
};

}  // namespace

Generation generate(const Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
                    const Prompt& prompt, const GenerateOptions& options, const OnPass& on_pass,
                    PrefixCache* prefixes) {
  const auto start = std::chrono::steady_clock::now();
  std::optional<model::KvCache> cache;
  if (prefixes != nullptr) cache = prefixes->find(prompt);
  Generation result;
  TextBatch<OnlyText> batch;
  batch.add(std::unique_ptr<OnlyText>(new OnlyText{
      TextGeneration(decoder, tokenizer, prompt, options, PromptReading::kAtOnce, std::move(cache)),
      on_pass, prefixes, result}));
  batch.end_done();
  while (!batch.empty() && !options.stop_asked()) batch.pass();
  for (const auto& interrupted_text : batch.texts()) interrupted_text->on_end();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

std::vector<float> ar_nats(const model::Model& model, const Prompt& prompt,
                           std::span<const int32_t> tokens) {
  if (tokens.empty()) return {};
  model::ForwardInput input;
  input.ids = prompt.tokens;
  input.positions = prompt.positions;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    input.ids.push_back(tokens[i]);
    input.positions.push_back(input.positions.back() + 1);
  }
  for (int32_t r = 0; r < static_cast<int32_t>(input.ids.size()); ++r) {
    input.ranges.push_back({0, r + 1, 0, 0});
  }
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor h = model::forward_texts(model, tape, input);
  const auto count = static_cast<int64_t>(tokens.size());
  const std::vector<float> weights(tokens.size(), 1.0f);
  const ops::HeadLosses losses{tokens, weights};
  return ops::head(tape, h, h.rows() - count, count, model.unembedding(), nullptr, &losses).nll;
}

double ar_nats_per_token(const model::Model& model, const Prompt& prompt,
                         std::span<const int32_t> tokens) {
  const std::vector<float> nats = ar_nats(model, prompt, tokens);
  if (nats.empty()) return NAN;
  return std::accumulate(nats.begin(), nats.end(), 0.0) / static_cast<double>(nats.size());
}

}  // namespace evo::decode
