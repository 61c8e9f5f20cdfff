#include "tokenizer/steps/known_patterns.h"

#include <array>
#include <cstdint>

namespace evo::tokenizer {
namespace {

enum Class : uint8_t { kLetter, kDigit, kSpace, kSign, kBeyond, kEnd };

constexpr std::array<Class, 256> make_classes() {
  std::array<Class, 256> classes{};
  for (int c = 0; c < 256; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    const bool digit = c >= '0' && c <= '9';
    classes[c] = c >= 0x80 ? kBeyond : letter ? kLetter : digit ? kDigit : space ? kSpace : kSign;
  }
  return classes;
}
constexpr std::array<Class, 256> kClasses = make_classes();

constexpr size_t kAskTheExpression = 0;

class Scan {
 public:
  Scan(std::string_view text, size_t from) : text_(text), from_(from) {}

  Class at(size_t i) const {
    return i < text_.size() ? kClasses[static_cast<unsigned char>(text_[i])] : kEnd;
  }
  char byte(size_t i) const { return i < text_.size() ? text_[i] : '\0'; }
  char lower(size_t i) const {
    return at(i) == kLetter ? static_cast<char>(byte(i) | 0x20) : byte(i);
  }
  bool line_end(size_t i) const { return byte(i) == '\r' || byte(i) == '\n'; }

  /// End of the run of `kind` that begins at `i`; kAskTheExpression if it may go on beyond ASCII.
  size_t run(size_t i, Class kind) const {
    while (at(i) == kind) ++i;
    return at(i) == kBeyond ? kAskTheExpression : i;
  }

  /// End of 's 't 're 've 'm 'll 'd, small letters only unless `any_case`; 0 if there is none.
  size_t contraction(bool any_case) const {
    const auto letter = [&](size_t i) { return any_case ? lower(i) : byte(i); };
    if (byte(from_) != '\'') return 0;
    const char first = letter(from_ + 1), second = letter(from_ + 2);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return from_ + 2;
    const bool two = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                     (first == 'l' && second == 'l');
    return two ? from_ + 3 : 0;
  }

  /// \s+(?!\S)|\s+ : a run leaves its last character to what follows, unless it is the only one.
  size_t white_space() const {
    const size_t end = run(from_, kSpace);
    if (end == kAskTheExpression || end == text_.size() || end == from_ + 1) return end;
    return end - 1;
  }

  /// \s*[\r\n]+ : up to the last line end of the run; 0 if it has none.
  size_t line_ends(size_t run_end) const {
    while (run_end > from_ && !line_end(run_end - 1)) --run_end;
    return run_end > from_ ? run_end : 0;
  }

  /// [^\s\p{L}\p{N}]+[\r\n]*
  size_t signs_and_line_ends(size_t i) const {
    i = run(i, kSign);
    if (i == kAskTheExpression) return kAskTheExpression;
    while (line_end(i)) ++i;
    return i;
  }

  /// \p{N}{1,limit}
  size_t digits(size_t limit) const {
    size_t i = from_;
    while (at(i) == kDigit && i < from_ + limit) ++i;
    return i < from_ + limit && at(i) == kBeyond ? kAskTheExpression : i;
  }

 private:
  std::string_view text_;
  size_t from_;
};

size_t scan_gpt2(std::string_view text, size_t from) {
  const Scan scan(text, from);
  if (const size_t end = scan.contraction(false); end > 0) return end;
  const size_t body = scan.byte(from) == ' ' ? from + 1 : from;
  const Class kind = scan.at(body);
  if (kind == kBeyond) return kAskTheExpression;
  if (kind == kSpace || kind == kEnd) return scan.white_space();
  return scan.run(body, kind);
}

template <size_t kDigitsPerWord>
size_t scan_llama3(std::string_view text, size_t from) {
  const Scan scan(text, from);
  const Class first = scan.at(from), second = scan.at(from + 1);
  if (first == kLetter) return scan.run(from, kLetter);
  if (first == kDigit) return scan.digits(kDigitsPerWord);
  if (first == kBeyond) return kAskTheExpression;
  if (const size_t end = scan.contraction(true); end > 0) return end;
  if (second == kLetter && !scan.line_end(from)) return scan.run(from + 1, kLetter);
  if (first == kSign) return scan.signs_and_line_ends(from);
  if (second == kSign && scan.byte(from) == ' ') return scan.signs_and_line_ends(from + 1);
  const size_t run_end = scan.run(from, kSpace);
  if (run_end == kAskTheExpression) return kAskTheExpression;
  const size_t lines = scan.line_ends(run_end);
  return lines > 0 ? lines : scan.white_space();
}

}  // namespace

WordScanner find_word_scanner(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return scan_gpt2;
  if (pattern == kLlama3Pattern) return scan_llama3<3>;
  if (pattern == kQwenPattern) return scan_llama3<1>;
  return nullptr;
}

}  // namespace evo::tokenizer
