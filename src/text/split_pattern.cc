#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/split_pattern.h"

#include <pcre2.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/error.h"
#include "text/utf8.h"

namespace evo {
namespace {

// PCRE2's own default: a match that backtracks more often than this is given up with an Error, so
// that no pair of pattern and text can hang the program.
constexpr uint32_t kMatchLimit = 10'000'000;
constexpr uint32_t kHeapLimitKib = 256 * 1024;
constexpr size_t kJitStackStart = 32 * 1024;
constexpr size_t kJitStackLimit = 8 * 1024 * 1024;

struct FreePcre {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, FreePcre>;

std::string pcre_message(int code) {
  unsigned char buffer[256] = {};
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

// \s and \S by the Unicode property; works inside and outside of [...].
std::string with_unicode_white_space(const std::string& pattern) {
  std::string result;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      result += pattern[i];
      continue;
    }
    const char escaped = pattern[++i];
    if (escaped == 's') {
      result += R"(\p{White_Space})";
    } else if (escaped == 'S') {
      result += R"(\P{White_Space})";
    } else {
      result += {'\\', escaped};
    }
  }
  return result;
}

}  // namespace

struct SplitPattern::Code {
  Owned<pcre2_code> compiled;
};

SplitPattern::SplitPattern(std::string source)
    : source_(std::move(source)), code_(std::make_unique<Code>()) {
  const std::string pattern = with_unicode_white_space(source_);
  int error = 0;
  size_t place = 0;
  code_->compiled.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error,
                                      &place, nullptr));
  if (!code_->compiled) {
    fail("pre-tokenizer pattern '{}' is not a regular expression that PCRE2 takes: {} near '{}'",
         source_, pcre_message(error), pattern.substr(std::min(place, pattern.size())));
  }
  // Where PCRE2 has no JIT this does nothing, and matching is only slower.
  pcre2_jit_compile(code_->compiled.get(), PCRE2_JIT_COMPLETE);
}

SplitPattern::~SplitPattern() = default;

struct Splitter::Matcher {
  const SplitPattern& pattern;
  Owned<pcre2_match_data> data{pcre2_match_data_create(1, nullptr)};
  Owned<pcre2_match_context> context{pcre2_match_context_create(nullptr)};
  Owned<pcre2_jit_stack> stack{pcre2_jit_stack_create(kJitStackStart, kJitStackLimit, nullptr)};
};

Splitter::Splitter(const SplitPattern& pattern)
    : matcher_(std::make_unique<Matcher>(Matcher{.pattern = pattern})) {
  if (!matcher_->data || !matcher_->context) throw std::bad_alloc();
  pcre2_set_match_limit(matcher_->context.get(), kMatchLimit);
  pcre2_set_heap_limit(matcher_->context.get(), kHeapLimitKib);
  // A null stack (no JIT) is allowed here.
  pcre2_jit_stack_assign(matcher_->context.get(), nullptr, matcher_->stack.get());
}

Splitter::~Splitter() = default;

void Splitter::start(std::string_view text) {
  rest_ = text;
  run_ = {};
  position_ = 0;
}

void Splitter::start_run() {
  const size_t valid = valid_utf8_prefix(rest_);
  const size_t length = valid > 0 ? valid : invalid_utf8_prefix(rest_);
  run_ = rest_.substr(0, length);
  rest_.remove_prefix(length);
  position_ = 0;
  match_begin_ = 0;
  match_end_ = valid > 0 ? 0 : length;  // invalid bytes are one word, without matching
}

void Splitter::match() {
  // start_run() has checked the encoding once; PCRE2 would check all of the run for every word.
  const int code = pcre2_match(matcher_->pattern.code_->compiled.get(),
                               reinterpret_cast<PCRE2_SPTR>(run_.data()), run_.size(), position_,
                               PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, matcher_->data.get(),
                               matcher_->context.get());
  if (code == PCRE2_ERROR_NOMATCH) {
    match_begin_ = match_end_ = run_.size();
    return;
  }
  if (code < 0) {
    fail(
        "pre-tokenizer pattern '{}' cannot be applied to this text ({}); use a simpler pattern or "
        "cut the text",
        matcher_->pattern.source(), pcre_message(code));
  }
  const size_t* const range = pcre2_get_ovector_pointer(matcher_->data.get());
  match_begin_ = range[0];
  match_end_ = range[1];
  EVO_CHECK(position_ <= match_begin_ && match_begin_ < match_end_ && match_end_ <= run_.size());
}

bool Splitter::next(std::string_view& word) {
  if (position_ == run_.size()) {
    if (rest_.empty()) return false;
    start_run();
  }
  if (position_ >= match_end_) match();
  const size_t end = position_ < match_begin_ ? match_begin_ : match_end_;
  word = run_.substr(position_, end - position_);
  position_ = end;
  return true;
}

size_t next_safe_cut(std::string_view text, size_t from) {
  const auto visible = [](char c) { return c > ' ' && c < 0x7F; };
  const auto blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  for (size_t i = std::max<size_t>(from, 1); i < text.size(); ++i) {
    if (visible(text[i - 1]) && blank(text[i])) return i;
  }
  return text.size();
}

}  // namespace evo
