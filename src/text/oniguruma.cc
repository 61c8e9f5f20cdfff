#include "text/oniguruma.h"

#include <vector>

#include "base/error.h"

namespace evo::text {
namespace {

// Far deeper than people write; each level is a call.
constexpr int kDeepestSet = 16;

constexpr const char* kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";

// A set, or a part of one that "&&" joins to others.
struct Members {
  std::string plain;                // as they stand between brackets
  std::vector<std::string> nested;  // expressions that match one character each

  std::string expression() const {
    if (nested.empty()) return "[" + plain + "]";
    std::string all = "(?:";
    if (!plain.empty()) all += "[" + plain + "]|";
    for (const std::string& one : nested) all += one + "|";
    all.back() = ')';
    return all;
  }
};

struct Set {
  bool negated = false;
  std::vector<Members> parts = std::vector<Members>(1);  // a character must be in all

  std::string expression() const {
    if (parts.size() == 1 && parts[0].nested.empty()) {
      return (negated ? "[^" : "[") + parts[0].plain + "]";
    }
    std::string all = "(?:";
    for (size_t i = 0; i + 1 < parts.size(); ++i) all += "(?=" + parts[i].expression() + ")";
    all += parts.back().expression() + ")";
    return negated ? "(?:(?!" + all + ")(?s:.))" : all;
  }
};

class Translation {
 public:
  explicit Translation(std::string_view source) : source_(source) {}

  std::string run() {
    std::string result;
    while (at_ < source_.size()) {
      if (next() == '[') {
        result += set(0).expression();
      } else if (next() == '\\' && at_ + 1 < source_.size()) {
        const char escaped = source_[at_ + 1];
        const std::string inside = escape(escaped);
        result += escaped == 'w' ? "[" + inside + "]" : inside;
      } else {
        take(1, result);
      }
    }
    return result;
  }

 private:
  char next() const { return source_[at_]; }
  std::string_view rest() const { return source_.substr(at_); }
  void take(size_t count, std::string& out) {
    out += source_.substr(at_, count);
    at_ += count;
  }

  // What stands for a backslash and the character behind it, as a member of a set unless it is \W.
  std::string escape(char escaped) {
    at_ += 2;
    if (escaped == 's') return R"(\p{White_Space})";
    if (escaped == 'S') return R"(\P{White_Space})";
    if (escaped == 'w') return kWord;
    if (escaped == 'W') return fmt::format("[^{}]", kWord);
    if (escaped == 'h' || escaped == 'H') {
      fail("the pattern '{}' uses \\h, which PCRE2 would read in another way: write it without",
           source_.substr(0, 300));
    }
    return {'\\', escaped};
  }

  // The set that begins here.
  Set set(int depth) {
    if (depth > kDeepestSet) {
      fail("the pattern '{}' has sets more than {} deep", source_.substr(0, 300), kDeepestSet);
    }
    Set set;
    ++at_;
    set.negated = rest().starts_with('^');
    if (set.negated) ++at_;
    if (rest().starts_with(']')) {  // an ordinary member, if first
      set.parts[0].plain = "\\]";
      ++at_;
    }
    while (at_ < source_.size()) {
      if (rest().starts_with("&&")) {
        set.parts.emplace_back();
        at_ += 2;
      } else if (next() == ']') {
        ++at_;
        return set;
      } else {
        member(set.parts.back(), depth);
      }
    }
    fail("the pattern '{}' has a set without an end: a ']' is missing", source_.substr(0, 300));
  }

  void member(Members& members, int depth) {
    const size_t named_end = rest().starts_with("[:") ? rest().find(":]") : std::string_view::npos;
    if (named_end != std::string_view::npos) {
      take(named_end + 2, members.plain);
    } else if (next() == '[') {
      nested(members, depth + 1);
    } else if (next() == '\\' && at_ + 1 < source_.size()) {
      const char escaped = source_[at_ + 1];
      const std::string inside = escape(escaped);
      if (escaped == 'W') {
        members.nested.push_back(inside);
      } else {
        members.plain += inside;
      }
    } else {
      take(1, members.plain);
    }
  }

  // A set in a set adds its members; they need brackets of their own only if they are not plain.
  void nested(Members& members, int depth) {
    const Set inner = set(depth);
    const Members& more = inner.parts[0];
    const bool may_make_range = more.plain.starts_with('-') || members.plain.ends_with('-');
    if (!inner.negated && inner.parts.size() == 1 && !may_make_range) {
      members.plain += more.plain;
      members.nested.insert(members.nested.end(), more.nested.begin(), more.nested.end());
    } else {
      members.nested.push_back(inner.expression());
    }
  }

  std::string_view source_;
  size_t at_ = 0;
};

}  // namespace

std::string pcre_of_oniguruma(std::string_view source) {
  return Translation(source).run();
}

}  // namespace evo::text
