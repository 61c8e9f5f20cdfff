// How a tokenizer cuts normalized text into the words inside which BPE merges: Hugging Face's
// pre-tokenizers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/steps/split_pattern.h"

namespace evo::tokenizer {

/// May be shared by threads.
class PreTokenizer {
 public:
  /// `json`: the "pre_tokenizer" of a tokenizer.json: null, ByteLevel, Split, Metaspace, Digits,
  /// Whitespace, WhitespaceSplit, Punctuation, BertPreTokenizer, CharDelimiterSplit, or a Sequence
  /// of them. Throws Error naming what is damaged or not supported.
  explicit PreTokenizer(const std::string& json);
  ~PreTokenizer();
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;

  /// Whether words are bytes (ByteLevel), not characters.
  bool byte_level() const { return byte_level_; }

  /// Equal for pre-tokenizers that do the same. For one that is byte-level and has one pattern
  /// whose matches are words, it is the pattern.
  std::string signature() const;

  /// True if a text and its parts, cut by next_common_cut(), get the same words.
  bool keeps_parts_apart() const;

 private:
  friend class WordCutter;
  struct Step;
  std::vector<Step> steps_;
  bool byte_level_ = false;
};

/// Walks over the words of one text after the other; one per thread.
class WordCutter {
 public:
  using Sink = std::function<void(std::string_view word)>;

  /// `pre_tokenizer` must outlive this.
  explicit WordCutter(const PreTokenizer& pre_tokenizer);
  ~WordCutter();

  /// Calls sink for each word, in order. `at_start`: `text` is the beginning of all text.
  void cut(std::string_view text, bool at_start, const Sink& sink);

 private:
  struct StepMemory;
  void run(size_t step, std::string_view piece, bool at_start, const Sink& sink);
  void split(size_t step, std::string_view piece, bool at_start, const Sink& sink);

  const std::vector<PreTokenizer::Step>& steps_;
  std::vector<std::unique_ptr<StepMemory>> memory_;  // of each step
  bool in_alphabet_ = false;                         // whether the last steps see GPT-2's alphabet
};

}  // namespace evo::tokenizer
