#include "template/parse/lexer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/ascii.h"
#include "template/budget.h"
#include "template/text.h"

namespace evo::jinja {
namespace {

using Type = Token::Type;

bool begins_name(char c) {
  return is_letter(c) || c == '_';
}

bool is_blank(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return is_space({&c, 1}); });
}

void append_utf8(std::string& out, uint32_t code) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) outside();
    add(Type::kEnd, "", source_.size());
    return std::move(tokens_);
  }

 private:
  void add(Type type, std::string text, size_t offset) {
    tokens_.push_back({type, std::move(text), offset});
  }
  [[noreturn]] static void fail_at(size_t offset, std::string message) {
    throw Fault{std::move(message), offset};
  }
  [[nodiscard]] std::string_view rest() const { return source_.substr(at_); }
  bool skip(std::string_view text) {
    if (!rest().starts_with(text)) return false;
    at_ += text.size();
    return true;
  }
  void skip_space() {
    while (at_ < source_.size() && is_space(source_.substr(at_, 1))) ++at_;
  }

  /// Text up to the next tag, and that tag.
  void outside() {
    const size_t tag = find_tag();
    const std::string_view text = source_.substr(at_, tag - at_);
    const size_t begin = std::exchange(at_, std::min(tag + 2, source_.size()));
    if (tag == source_.size()) return add(Type::kText, std::string(text), begin);
    const char kind = source_[tag + 1];
    const char sign = skip("-") ? '-' : skip("+") ? '+' : ' ';
    const std::string_view kept = before_tag(text, kind, sign);
    if (!kept.empty()) add(Type::kText, std::string(kept), begin);
    if (kind == '#') return comment(tag);
    if (kind == '%' && raw_begins()) return raw(tag);
    add(kind == '%' ? Type::kBlockBegin : Type::kOutputBegin, "", tag);
    inside(tag, kind == '%');
  }

  [[nodiscard]] size_t find_tag() const {
    for (size_t tag = at_; (tag = source_.find('{', tag)) != std::string_view::npos; ++tag) {
      if (tag + 1 < source_.size() &&
          std::string_view("{%#").find(source_[tag + 1]) != std::string_view::npos)
        return tag;
    }
    return source_.size();
  }

  /// What stays of the text before a tag: `-` takes all white space, a block or a comment the
  /// blanks before it on its line.
  [[nodiscard]] std::string_view before_tag(std::string_view text, char kind, char sign) const {
    if (sign == '-') return strip(text, Side::kRight);
    if (sign == '+' || kind == '{') return text;
    const size_t line = text.rfind('\n') + 1;  // 0 if there is none
    if (line == 0 && !line_starts_) return text;
    return is_blank(text.substr(line)) ? text.substr(0, line) : text;
  }

  /// Takes the end of a tag, whose last two characters are `end`, and the white space behind it
  /// that goes with it.
  bool tag_end(std::string_view end) {
    const size_t begin = at_;
    const bool may_trim = end != "}}";
    if (rest().starts_with('-') && source_.substr(at_ + 1).starts_with(end)) {
      at_ += 1 + end.size();
      skip_space();
    } else if (may_trim && rest().starts_with('+') && source_.substr(at_ + 1).starts_with(end)) {
      at_ += 1 + end.size();
    } else if (skip(end)) {
      if (may_trim) skip("\n");
    } else {
      return false;
    }
    line_starts_ = at_ > begin && source_[at_ - 1] == '\n';
    return true;
  }

  void comment(size_t tag) {
    const size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) fail_at(tag, "expected '#}' after this '{#', found none");
    const bool has_sign = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+');
    at_ = has_sign ? end - 1 : end;
    tag_end("#}");
  }

  /// Takes the rest of {% raw %}, if that is what comes.
  bool raw_begins() {
    const size_t begin = at_;
    skip_space();
    const bool named = skip("raw");
    skip_space();
    const bool stripped = named && skip("-%}");
    if (stripped) skip_space();
    if (stripped || (named && skip("%}"))) {
      line_starts_ = source_[at_ - 1] == '\n';
      return true;
    }
    at_ = begin;
    return false;
  }

  void raw(size_t tag) {
    const size_t begin = at_;
    for (size_t end = at_; (end = source_.find("{%", end)) != std::string_view::npos; ++end) {
      at_ = end + 2;
      const char sign = skip("-") ? '-' : skip("+") ? '+' : ' ';
      skip_space();
      if (!skip("endraw")) continue;
      skip_space();
      const std::string_view kept = before_tag(source_.substr(begin, end - begin), '%', sign);
      if (tag_end("%}")) return add(Type::kText, std::string(kept), begin);
    }
    fail_at(tag, "expected {% endraw %} after this {% raw %}, found none");
  }

  void inside(size_t tag, bool block) {
    const std::string_view end = block ? "%}" : "}}";
    brackets_.clear();
    for (;;) {
      skip_space();
      if (at_ >= source_.size())
        fail_at(tag,
                fmt::format("expected '{}' after this tag, found the end of the template", end));
      const size_t begin = at_;
      if (brackets_.empty() && tag_end(end)) {
        return add(block ? Type::kBlockEnd : Type::kOutputEnd, "", begin);
      }
      const char c = source_[at_];
      if (begins_name(c)) {
        name();
      } else if (is_digit(c)) {
        number();
      } else if (c == '\'' || c == '"') {
        string(c);
      } else {
        sign();
      }
    }
  }

  void name() {
    const size_t begin = at_;
    while (at_ < source_.size() && (begins_name(source_[at_]) || is_digit(source_[at_]))) ++at_;
    add(Type::kName, std::string(source_.substr(begin, at_ - begin)), begin);
  }

  std::string digits() {
    std::string result;
    const auto digit_at = [&](size_t at) { return at < source_.size() && is_digit(source_[at]); };
    for (; digit_at(at_) || (rest().starts_with('_') && digit_at(at_ + 1)); ++at_) {
      if (source_[at_] != '_') result += source_[at_];
    }
    return result;
  }

  void number() {
    const size_t begin = at_;
    // In `list.0.1` both numbers are indices.
    const bool index =
        !tokens_.empty() && tokens_.back().text == "." && tokens_.back().type == Type::kOperator;
    std::string text = digits();
    const auto digit_after = [&](size_t count) {
      return at_ + count < source_.size() && is_digit(source_[at_ + count]);
    };
    bool whole = true;
    if (!index && rest().starts_with('.') && digit_after(1)) {
      ++at_;
      text += '.';
      text += digits();
      whole = false;
    }
    const bool exponent = !index && (rest().starts_with('e') || rest().starts_with('E'));
    const bool has_sign = exponent && at_ + 1 < source_.size() &&
                          (source_[at_ + 1] == '-' || source_[at_ + 1] == '+');
    if (exponent && digit_after(has_sign ? 2 : 1)) {
      text += 'e';
      ++at_;
      if (has_sign) text += source_[at_++];
      text += digits();
      whole = false;
    }
    add(whole ? Type::kInteger : Type::kFloat, text, begin);
  }

  void string(char quote) {
    const size_t begin = at_++;
    std::string value;
    for (;;) {
      if (at_ >= source_.size())
        fail_at(begin, fmt::format("expected {} at the end of this string, found none", quote));
      const char c = source_[at_++];
      if (c == quote) break;
      if (c == '\\') {
        escape(value);
      } else {
        value += c;
      }
    }
    add(Type::kString, std::move(value), begin);
  }

  /// Python's escapes; one that it does not know stays as it is.
  void escape(std::string& value) {
    if (at_ >= source_.size()) return;  // string() sees that its end is missing
    constexpr std::string_view kLetters = "nrtabfv\\'\"", kMeanings = "\n\r\t\a\b\f\v\\'\"";
    const char letter = source_[at_++];
    const size_t known = kLetters.find(letter);
    if (known != std::string_view::npos) {
      value += kMeanings[known];
    } else if (letter == 'x' || letter == 'u' || letter == 'U') {
      append_utf8(value, hex_code(letter == 'x' ? 2 : letter == 'u' ? 4 : 8));
    } else if (letter >= '0' && letter <= '7') {
      --at_;
      append_utf8(value, octal_code());
    } else if (letter != '\n') {  // an escaped line end is nothing
      value += {'\\', letter};
    }
  }

  uint32_t hex_code(size_t length) {
    const size_t begin = at_;
    uint32_t code = 0;
    for (size_t i = 0; i < length; ++i, ++at_) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      const size_t digit =
          at_ < source_.size() ? kDigits.find(lower_case(source_[at_])) : std::string_view::npos;
      if (digit == std::string_view::npos || code > 0xFFFFFF) {
        fail_at(begin, fmt::format("expected {} hexadecimal digits in this escape", length));
      }
      code = code << 4 | static_cast<uint32_t>(digit);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
      fail_at(begin, fmt::format("expected a character, found the code {:x}", code));
    }
    return code;
  }

  uint32_t octal_code() {
    uint32_t code = 0;
    for (int i = 0; i < 3 && at_ < source_.size() && source_[at_] >= '0' && source_[at_] <= '7';
         ++i) {
      code = code << 3 | static_cast<uint32_t>(source_[at_++] - '0');
    }
    return code;
  }

  void sign() {
    constexpr std::array<std::string_view, 26> kOperators = {
        "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<",
        ">",  "=",  ".",  ":",  "|",  ",",  "(", ")", "[", "]", "{", "}", ";"};
    const auto found = std::ranges::find_if(
        kOperators, [&](std::string_view one) { return rest().starts_with(one); });
    if (found == kOperators.end())
      fail_at(at_, "expected an expression, found a sign that has no meaning here");
    balance((*found)[0]);
    add(Type::kOperator, std::string(*found), at_);
    at_ += found->size();
  }

  /// Inside brackets, `}}` is two of them and not the end of the tag.
  void balance(char bracket) {
    constexpr std::string_view kOpening = "([{", kClosing = ")]}";
    const size_t opening = kOpening.find(bracket);
    if (opening != std::string_view::npos) brackets_ += kClosing[opening];
    if (kClosing.find(bracket) == std::string_view::npos) return;
    if (brackets_.empty()) fail_at(at_, fmt::format("found '{}' without its beginning", bracket));
    if (brackets_.back() != bracket)
      fail_at(at_, fmt::format("expected '{}', found '{}'", brackets_.back(), bracket));
    brackets_.pop_back();
  }

  std::string_view source_;
  size_t at_ = 0;
  bool line_starts_ = true;  // what came before at_ was the end of a line, or nothing
  std::string brackets_;     // that are open, as their closing ones
  std::vector<Token> tokens_;
};

}  // namespace

std::string normalize_source(std::string_view source) {
  std::string result;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      result += source[i];
    } else if (!source.substr(i + 1).starts_with('\n')) {
      result += '\n';
    }
  }
  if (result.ends_with('\n')) result.pop_back();
  return result;
}

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

std::string shown(const Token& token) {
  switch (token.type) {
    case Type::kText:
      return "text";
    case Type::kOutputBegin:
      return "'{{'";
    case Type::kOutputEnd:
      return "'}}'";
    case Type::kBlockBegin:
      return "'{%'";
    case Type::kBlockEnd:
      return "'%}'";
    case Type::kString:
      return "a string";
    case Type::kEnd:
      return "the end of the template";
    default:
      return fmt::format("'{}'", token.text);
  }
}

}  // namespace evo::jinja
