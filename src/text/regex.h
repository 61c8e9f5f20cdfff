// Regular expressions of tokenizer files: Oniguruma's dialect, which Hugging Face uses, run by
// PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace evo::text {

/// A compiled expression; may be shared by threads.
///
/// Where the two libraries read the same text differently it is translated (oniguruma.h; `^` and
/// `$` match at lines) or refused with an Error.
class Regex {
 public:
  /// Throws Error with the place of the fault.
  explicit Regex(std::string source);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  const std::string& source() const { return source_; }

 private:
  friend class RegexMatcher;
  struct Code;
  std::string source_;
  std::unique_ptr<Code> code_;
};

/// An expression that matches `text` and nothing else.
std::string regex_of_literal(std::string_view text);

struct RegexMatch {
  size_t begin = 0, end = 0;  ///< bytes
};

/// The memory that matching needs; one per thread.
class RegexMatcher {
 public:
  /// `regex` must outlive this.
  explicit RegexMatcher(const Regex& regex);
  ~RegexMatcher();
  RegexMatcher(const RegexMatcher&) = delete;
  RegexMatcher& operator=(const RegexMatcher&) = delete;

  /// Begins a new text, which must be valid UTF-8.
  void start(std::string_view text);

  /// The next match, perhaps an empty one, but none that is empty and touches the one before; false
  /// if there is none. Throws Error if the expression backtracks too often, or is so slow on this
  /// text that it looks like an attack.
  bool next(RegexMatch& match);

  /// Goes on behind `end`, where a match ended that the caller has found by other means.
  void skip_to(size_t end);

 private:
  bool search(RegexMatch& match);

  struct Memory;
  std::unique_ptr<Memory> memory_;
  std::string_view text_;
  size_t from_ = 0;                           // where the search goes on
  size_t last_end_ = std::string_view::npos;  // end of the last match
};

}  // namespace evo::text
