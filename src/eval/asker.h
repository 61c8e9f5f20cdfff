// Puts examples to a model: choices are scored, texts are generated, several at a time.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "decode/generate.h"
#include "decode/trace/trace.h"
#include "eval/scorer.h"
#include "eval/task.h"
#include "tokenizer/tokenizer.h"

namespace evo::eval {

/// What became of drafts, by the maturity that the model gave them, in bins of equal width.
struct DraftCounts {
  static constexpr size_t kBins = 10;
  std::array<int64_t, kBins> drafts{}, kept{};
  std::array<double, kBins> maturity{};  ///< sums

  void add(double of_maturity, bool was_kept);
};

struct Answer {
  Outcome outcome;
  bool cut = false;  ///< the context did not fit and lost its beginning
  int64_t tokens = 0, passes = 0;
  DraftCounts drafts;
};

struct AskOptions {
  decode::DecodeOptions decode;
  ScoreOptions score;
  int64_t sessions = 8;  ///< texts that are generated side by side
  /// Texts begin as `evo generate` begins them (text_prompt()); false: with what the tokenizer's
  /// template puts there, which for some is nothing.
  bool begin_texts = true;
  std::function<void()> on_answer = {};  ///< after every example
};

class Asker {
 public:
  /// Both must outlive the object.
  Asker(const model::Model& model, const tokenizer::Tokenizer& tokenizer, AskOptions options);

  /// The answers do not depend on what else was asked before, nor on the clock. `stream` numbers
  /// the call. With `trace`, the first text's course is put there. Throws Error on interrupt.
  [[nodiscard]] std::vector<Answer> ask(std::span<const Example> examples, uint64_t stream,
                                        decode::Trace* trace = nullptr) const;

 private:
  struct Pair {
    std::vector<int32_t> context, continuation;
    bool cut = false;
  };
  /// The tokens of a text after those that every text begins with; never empty.
  [[nodiscard]] std::vector<int32_t> begun(const std::vector<int32_t>& text) const;
  [[nodiscard]] Pair encode(const Continuation& continuation) const;
  void score(std::span<const Example> examples, uint64_t stream, std::span<Answer> answers) const;
  void generate(std::span<const Example> examples, std::span<Answer> answers,
                decode::Trace* trace) const;
  [[nodiscard]] decode::Prompt prompt_of(const Example& example, int64_t max_tokens,
                                         bool& cut) const;

  const model::Model& model_;
  const tokenizer::Tokenizer& tokenizer_;
  AskOptions options_;
};

}  // namespace evo::eval
