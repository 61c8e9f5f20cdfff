// Cuts text into the words inside which BPE merges, by a regular expression (PCRE2).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace evo {

/// GPT-2's pattern, which is also what Hugging Face's ByteLevel uses with `use_regex`: an English
/// contraction; letters, digits or other signs with at most one space before them; white space.
inline constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// A compiled pattern; may be shared by threads. `\s` means the Unicode property White_Space, as
/// in Hugging Face's regular expressions (PCRE2's own \s also holds U+180E).
class SplitPattern {
 public:
  /// Throws Error with the place of the fault if the pattern is not a valid regular expression.
  explicit SplitPattern(std::string source);
  ~SplitPattern();
  SplitPattern(const SplitPattern&) = delete;
  SplitPattern& operator=(const SplitPattern&) = delete;

  const std::string& source() const { return source_; }

 private:
  friend class Splitter;
  struct Code;
  std::string source_;
  std::unique_ptr<Code> code_;
};

/// Walks over the words of one text after the other; one per thread. The words of a text, joined,
/// are the text: what the pattern does not match is a word of its own, and so is every run of
/// bytes that are not UTF-8.
class Splitter {
 public:
  explicit Splitter(const SplitPattern& pattern);
  ~Splitter();
  Splitter(const Splitter&) = delete;
  Splitter& operator=(const Splitter&) = delete;

  void start(std::string_view text);

  /// Sets `word` to the next word, a view into the text; false at the end. Throws Error if the
  /// pattern needs more steps than its limit.
  bool next(std::string_view& word);

 private:
  void start_run();
  void match();

  struct Matcher;
  std::unique_ptr<Matcher> matcher_;
  std::string_view rest_;   // what follows run_
  std::string_view run_;    // valid UTF-8
  size_t position_ = 0;     // in run_: all before it has been returned
  size_t match_begin_ = 0;  // the match found in run_, not yet returned if position_ < match_end_
  size_t match_end_ = 0;
};

/// First place >= `from` where a text may be cut so that the words of the two parts are the words
/// of the whole under kGpt2Pattern; text.size() if there is none. It is a place between a visible
/// ASCII character and ASCII white space: no word of that pattern goes on from the one to the
/// other, and no word looks back.
size_t next_safe_cut(std::string_view text, size_t from);

}  // namespace evo
