// Cuts text into the words inside which BPE merges, by a regular expression.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "text/regex.h"
#include "tokenizer/steps/known_patterns.h"

namespace evo::tokenizer {

/// A compiled pattern; may be shared by threads.
class SplitPattern {
 public:
  /// Throws Error with the place of the fault if the pattern is not a valid regular expression.
  explicit SplitPattern(const std::string& source)
      : regex_(source), scanner_(find_word_scanner(source)) {}

  const std::string& source() const { return regex_.source(); }

 private:
  friend class Splitter;
  text::Regex regex_;
  WordScanner scanner_;  // null: the pattern is not a well-known one
};

/// Walks over the pieces of one text after the other; one per thread. The pieces of a text, joined,
/// are the text: what the pattern does not match is a piece of its own, and so is every run of
/// bytes that are not UTF-8.
class Splitter {
 public:
  /// `pattern` must outlive this.
  explicit Splitter(const SplitPattern& pattern) : pattern_(pattern), matcher_(pattern.regex_) {}

  void start(std::string_view text);

  /// Sets `piece` to the next piece, a view into the text; false at the end. Throws Error if the
  /// pattern needs more steps than its limit.
  bool next(std::string_view& piece);

  /// Whether the pattern matched the piece that next() has given last.
  bool matched() const { return matched_; }

 private:
  void start_run();
  void match();
  void take(std::string_view& piece, size_t end);

  const SplitPattern& pattern_;
  text::RegexMatcher matcher_;
  std::string_view rest_;   // what follows run_
  std::string_view run_;    // valid UTF-8, or invalid bytes
  bool valid_ = false;      // which of the two
  size_t position_ = 0;     // in run_: all before it has been returned
  text::RegexMatch match_;  // in run_, not yet returned if position_ < match_.end
  bool matched_ = false;
};

/// First place >= `from` where a text may be cut so that the words of the two parts are the words
/// of the whole under kGpt2Pattern; text.size() if there is none. It is a place between a visible
/// ASCII character and ASCII white space: no word of that pattern goes on from the one to the
/// other, and no word looks back.
size_t next_safe_cut(std::string_view text, size_t from);

/// The same for all patterns of known_patterns.h: between an ASCII letter or digit and a space.
size_t next_common_cut(std::string_view text, size_t from);

}  // namespace evo::tokenizer
