#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "base/error.h"
#include "text/oniguruma.h"
#include "text/utf8.h"

namespace evo::text {
namespace {

// PCRE2's own default: a match that backtracks more often than this is given up with an Error.
constexpr uint32_t kMatchLimit = 10'000'000;
constexpr uint32_t kHeapLimitKib = 256 * 1024;
constexpr size_t kJitStackStart = 32 * 1024;
constexpr size_t kJitStackLimit = 8 * 1024 * 1024;

// Many matches may each stay below that limit and yet take hours together, so time counts as well.
// Honest expressions run at megabytes per second, even on a machine that is busy otherwise.
constexpr double kPatienceSeconds = 2;
constexpr double kSlowestBytesPerSecond = 10e3;
constexpr int kMatchesPerLookAtTheClock = 8;

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

// Expressions of megabytes are quoted in part.
std::string_view shown_source(std::string_view source) {
  return source.substr(0, 300);
}

}  // namespace

struct Regex::Code {
  Owned<pcre2_code> compiled;
};

Regex::Regex(std::string source) : source_(std::move(source)), code_(std::make_unique<Code>()) {
  const std::string pattern = pcre_of_oniguruma(source_);
  int error = 0;
  size_t place = 0;
  code_->compiled.reset(pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &place, nullptr));
  if (!code_->compiled) {
    fail("pre-tokenizer pattern '{}' is not a regular expression that PCRE2 takes: {} near '{}'",
         shown_source(source_), pcre_message(error),
         shown_source(std::string_view(pattern).substr(std::min(place, pattern.size()))));
  }
  // Where PCRE2 has no JIT this does nothing, and matching is only slower.
  pcre2_jit_compile(code_->compiled.get(), PCRE2_JIT_COMPLETE);
}

Regex::~Regex() = default;

std::string regex_of_literal(std::string_view text) {
  std::string source;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x80 || byte <= ' ' || std::isalnum(byte) != 0;
    if (!plain) source += '\\';
    source += c;
  }
  return source;
}

struct RegexMatcher::Memory {
  using Clock = std::chrono::steady_clock;

  const Regex& regex;
  Owned<pcre2_match_data> data{pcre2_match_data_create(1, nullptr)};
  Owned<pcre2_match_context> context{pcre2_match_context_create(nullptr)};
  Owned<pcre2_jit_stack> stack{pcre2_jit_stack_create(kJitStackStart, kJitStackLimit, nullptr)};
  Clock::time_point start{};
  int matches = 0;  // since the last look at the clock

  // `done`: bytes of the text that lie behind us.
  void check_patience(size_t done) {
    if (++matches < kMatchesPerLookAtTheClock) return;
    matches = 0;
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (seconds < kPatienceSeconds) return;
    if (static_cast<double>(done) > seconds * kSlowestBytesPerSecond) return;
    fail(
        "pre-tokenizer pattern '{}' is too slow for this text: {} bytes in {:.0f} s; use a simpler "
        "pattern or cut the text",
        shown_source(regex.source()), done, seconds);
  }
};

RegexMatcher::RegexMatcher(const Regex& regex)
    : memory_(std::make_unique<Memory>(Memory{.regex = regex})) {
  if (!memory_->data || !memory_->context) throw std::bad_alloc();
  pcre2_set_match_limit(memory_->context.get(), kMatchLimit);
  pcre2_set_heap_limit(memory_->context.get(), kHeapLimitKib);
  // A null stack (no JIT) is allowed here.
  pcre2_jit_stack_assign(memory_->context.get(), nullptr, memory_->stack.get());
}

RegexMatcher::~RegexMatcher() = default;

void RegexMatcher::start(std::string_view text) {
  text_ = text;
  from_ = 0;
  last_end_ = std::string_view::npos;
  memory_->start = Memory::Clock::now();
}

void RegexMatcher::skip_to(size_t end) {
  from_ = last_end_ = end;
}

bool RegexMatcher::next(RegexMatch& match) {
  while (from_ <= text_.size()) {
    memory_->check_patience(from_);
    if (!search(match)) break;
    const bool empty = match.begin == match.end;
    if (!empty || match.end != last_end_) {
      from_ = last_end_ = match.end;
      return true;
    }
    from_ += std::max<size_t>(1, utf8_character_length(text_.substr(from_)));
  }
  from_ = text_.size() + 1;
  return false;
}

bool RegexMatcher::search(RegexMatch& match) {
  // The caller has checked the encoding once; PCRE2 would check the whole text at each match.
  const int code = pcre2_match(memory_->regex.code_->compiled.get(),
                               reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(), from_,
                               PCRE2_NO_UTF_CHECK, memory_->data.get(), memory_->context.get());
  if (code == PCRE2_ERROR_NOMATCH) return false;
  if (code < 0) {
    fail(
        "pre-tokenizer pattern '{}' cannot be applied to this text ({}); use a simpler pattern or "
        "cut the text",
        shown_source(memory_->regex.source()), pcre_message(code));
  }
  const size_t* const range = pcre2_get_ovector_pointer(memory_->data.get());
  match = {range[0], range[1]};
  // \K in a lookaround can make a match end before it begins, or begin before the search.
  if (match.begin < from_ || match.end < match.begin) {
    fail("pre-tokenizer pattern '{}' matches backwards: write it without \\K",
         shown_source(memory_->regex.source()));
  }
  return true;
}

}  // namespace evo::text
