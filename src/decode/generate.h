// Text in, text out: the loop around a session.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/process/watcher.h"
#include "decode/session/session.h"
#include "tokenizer/tokenizer.h"

namespace evo::decode {

class PrefixCache;

struct GenerateOptions {
  DecodeOptions decode;
  std::vector<std::string> stop;  ///< generation ends before the first of these
  std::vector<int32_t> sketch;    ///< what is to be changed (Session::begin_from), diffusion mode
  double sketch_time = 1;         ///< how far: 1 forgets it
  /// Asked by generate() before every pass; true ends the text as it is, "interrupted".
  std::function<bool()> stop_asked = interrupted;
};

struct Generation {
  std::string text;    ///< without the prompt
  std::string finish;  ///< "end" (end of text), "stop" (a stop string), "length" or "interrupted"
  std::vector<int32_t> tokens;
  int64_t passes = 0, drafted = 0, accepted = 0;
  int64_t known = 0;  ///< tokens of the prompt that were in the session's cache from the beginning
  double seconds = 0;
  [[nodiscard]] double tokens_per_forward() const;
  [[nodiscard]] double tokens_per_second() const;
};

/// Called after every pass: bytes that are now certain to be part of the text (whole UTF-8
/// characters, nothing that may still become a stop string), and what the pass did.
using OnPass = std::function<void(std::string_view text, const PassTrace& trace)>;

/// What a name of a special token in a text is ("<|im_start|>"): that token, where people write
/// prompts by hand; or ordinary text, where the text is not theirs.
enum class NamesInText { kOrdinary, kSpecial };

/// A text to continue: what texts begin with (Tokenizer::begin_of_text()), then the text's tokens.
/// If that is nothing at all it is the end of a text. Throws Error if there is none either.
Prompt text_prompt(const tokenizer::Tokenizer& tokenizer, std::string_view text,
                   NamesInText names = NamesInText::kOrdinary);

/// Between two texts, at most `room` tokens.
Prompt gap_prompt(const tokenizer::Tokenizer& tokenizer, std::string_view prefix,
                  std::string_view suffix, int64_t room,
                  NamesInText names = NamesInText::kOrdinary);

/// A text while it is generated: a session and what its passes made certain. Several can share
/// passes: Session::step_together(), then take() for each.
class TextGeneration {
 public:
  /// `decoder` and `tokenizer` must outlive the object.
  TextGeneration(const Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
                 const Prompt& prompt, const GenerateOptions& options,
                 PromptReading reading = PromptReading::kAtOnce,
                 std::optional<model::KvCache> cache = {});

  [[nodiscard]] Session& session() { return session_; }
  [[nodiscard]] bool done() const { return stopped_ || session_.done(); }

  /// Takes in what the last pass generated; returns the bytes of text that are now certain (see
  /// OnPass), valid until the next call.
  std::string_view take();

  /// What there is, without `seconds`; "interrupted" if it is not done().
  [[nodiscard]] Generation result() const;

 private:
  const tokenizer::Tokenizer& tokenizer_;
  std::vector<std::string> stop_;
  Session session_;
  std::string text_;
  size_t shown_ = 0, read_ = 0;  // bytes of text, tokens of the session
  bool stopped_ = false;
};

/// With `prefixes` the prompt is read from where it departs from what they know, and they learn it;
/// their pool must have room for another text.
Generation generate(const Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
                    const Prompt& prompt, const GenerateOptions& options,
                    const OnPass& on_pass = {}, PrefixCache* prefixes = nullptr);

/// -log p of each of `tokens` after `prompt` and those before it under the autoregressive model,
/// with keys and values rounded as in decoding.
std::vector<float> ar_nats(const model::Model& model, const Prompt& prompt,
                           std::span<const int32_t> tokens);
/// The mean; NaN for no tokens.
double ar_nats_per_token(const model::Model& model, const Prompt& prompt,
                         std::span<const int32_t> tokens);

}  // namespace evo::decode
