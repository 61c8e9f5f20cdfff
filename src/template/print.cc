#include "template/print.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "template/text.h"
#include "text/letter_case.h"

namespace evo::jinja {
namespace {

/// Text that grows within a budget.
class Sink {
 public:
  explicit Sink(Budget& budget) : budget_(budget) {}
  void add(std::string_view part) {
    budget_.spend_bytes(part.size());
    text_ += part;
  }
  [[nodiscard]] Budget& budget() { return budget_; }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  Budget& budget_;
  std::string text_;
};

uint32_t code_point(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first;
  uint32_t code = first & (0x7Fu >> character.size());
  for (const char c : character.substr(1))
    code = code << 6 | (static_cast<unsigned char>(c) & 0x3F);
  return code;
}

/// The escape that Python's repr() has for a character, empty if it shows the character itself.
std::string repr_escape(std::string_view character, char quote) {
  const uint32_t code = code_point(character);
  if (code == static_cast<unsigned char>(quote) || code == '\\')
    return std::string("\\").append(character);
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return "\\t";
  if (text::is_printable(code)) return {};
  if (code < 0x100) return fmt::format("\\x{:02x}", code);
  return code < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
}

std::string repr_text(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string result(1, quote);
  for (const std::string_view character : characters(text)) {
    const std::string escape = repr_escape(character, quote);
    result += escape.empty() ? character : std::string_view(escape);
  }
  return result + quote;
}

std::string scalar_text(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "";
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return value.boolean() ? "True" : "False";
    case Kind::kInt:
      return std::to_string(*value.as_int());
    case Kind::kFloat:
      return float_text(value.floating());
    default:
      return fmt::format("<function {}>", value.callable().name);
  }
}

/// Calls `one` for each of `items`, with ", " between them.
template <class List, class Fn>
void add_joined(Sink& sink, const List& items, const Fn& one) {
  bool first = true;
  for (const auto& item : items) {
    if (!std::exchange(first, false)) sink.add(", ");
    one(item);
  }
}

void add_repr(Sink& sink, const Value& value) {
  sink.budget().spend_steps(1);
  if (value.is(Kind::kString)) {
    const std::string text = repr_text(value.text());
    sink.add(value.is_markup() ? fmt::format("Markup({})", text) : text);
  } else if (value.is_generator()) {
    sink.add("<generator>");  // Python: with a place in memory
  } else if (value.is(Kind::kList)) {
    const bool view = !value.is_indexed(), tuple = value.is_tuple();
    if (view) sink.add(fmt::format("{}(", type_name(value)));
    sink.add(tuple ? "(" : "[");
    add_joined(sink, value.items(), [&](const Value& item) { add_repr(sink, item); });
    if (tuple && value.items().size() == 1) sink.add(",");
    sink.add(tuple ? ")" : "]");
    if (view) sink.add(")");
  } else if (value.is(Kind::kNamespace)) {
    sink.add("<Namespace {");
    add_joined(sink, value.attributes(), [&](const auto& attribute) {
      sink.add(repr_text(attribute.first));
      sink.add(": ");
      add_repr(sink, attribute.second);
    });
    sink.add("}>");
  } else if (value.is(Kind::kDict)) {
    sink.add("{");
    add_joined(sink, value.entries(), [&](const Entry& entry) {
      add_repr(sink, entry.first);
      sink.add(": ");
      add_repr(sink, entry.second);
    });
    sink.add("}");
  } else {
    sink.add(value.is(Kind::kUndefined) ? "Undefined" : scalar_text(value));
  }
}

std::string unicode_escape(uint32_t code) {
  if (code < 0x10000) return fmt::format("\\u{:04x}", code);
  code -= 0x10000;
  return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF));
}

std::string json_text(std::string_view text, bool ensure_ascii) {
  constexpr std::string_view kPlain = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
  std::string result = "\"";
  for (const std::string_view character : characters(text)) {
    const size_t known = character.size() == 1 ? kPlain.find(character[0]) : std::string::npos;
    if (known != std::string::npos) {
      result += {'\\', kLetters[known]};
    } else if (code_point(character) < 0x20 || (ensure_ascii && code_point(character) > 0x7E)) {
      result += unicode_escape(code_point(character));
    } else {
      result += character;
    }
  }
  return result + '"';
}

std::string json_scalar(const Value& value) {
  switch (value.kind()) {
    case Kind::kNone:
      return "null";
    case Kind::kBool:
      return value.boolean() ? "true" : "false";
    case Kind::kInt:
      return scalar_text(value);
    case Kind::kFloat:
      if (std::isnan(value.floating())) return "NaN";
      if (std::isinf(value.floating())) return value.floating() > 0 ? "Infinity" : "-Infinity";
      return scalar_text(value);
    default:
      fault("JSON has no value for {}",
            value.is(Kind::kUndefined) ? std::string_view(value.problem()) : type_name(value));
  }
}

class JsonWriter {
 public:
  JsonWriter(Budget& budget, const JsonStyle& style) : sink_(budget), style_(style) {}

  void add(const Value& value) {
    sink_.budget().spend_steps(1);
    if (value.is(Kind::kString)) {
      sink_.add(json_text(value.text(), style_.ensure_ascii));
    } else if (value.is_indexed()) {
      add_group("[]", value.items(), [&](const Value& item) { add(item); });
    } else if (value.is(Kind::kDict)) {
      add_group("{}", ordered(value), [&](const Entry& entry) {
        sink_.add(json_text(key_text(entry.first), style_.ensure_ascii));
        sink_.add(style_.key_separator);
        add(entry.second);
      });
    } else {
      sink_.add(json_scalar(value));
    }
  }
  [[nodiscard]] std::string take() { return sink_.take(); }

 private:
  static std::string key_text(const Value& key) {
    return key.is(Kind::kString) ? std::string(key.text()) : json_scalar(key);
  }

  std::vector<Entry> ordered(const Value& dict) {
    sink_.budget().spend_items(2 * dict.entries().size());
    std::vector<Entry> entries = dict.entries();
    if (style_.sort_keys) {
      std::ranges::stable_sort(entries, {},
                               [](const Entry& entry) { return key_text(entry.first); });
    }
    return entries;
  }

  template <class List, class Fn>
  void add_group(std::string_view brackets, const List& items, const Fn& one) {
    sink_.add(brackets.substr(0, 1));
    ++level_;
    bool first = true;
    for (const auto& item : items) {
      if (!std::exchange(first, false)) sink_.add(style_.item_separator);
      add_line_end();
      one(item);
    }
    --level_;
    if (!first) add_line_end();
    sink_.add(brackets.substr(1));
  }

  void add_line_end() {
    if (!style_.lines) return;
    sink_.add("\n");
    for (int i = 0; i < level_; ++i) sink_.add(style_.indent);
  }

  Sink sink_;
  const JsonStyle& style_;
  int level_ = 0;
};

}  // namespace

std::string to_text(Budget& budget, const Value& value) {
  if (value.is(Kind::kString)) {
    budget.spend_bytes(value.text().size());
    return std::string(value.text());
  }
  Sink sink(budget);
  if (value.is(Kind::kList) || value.is(Kind::kDict) || value.is(Kind::kNamespace)) {
    add_repr(sink, value);
  } else {
    sink.add(scalar_text(value));
  }
  return sink.take();
}

std::string to_repr(Budget& budget, const Value& value) {
  Sink sink(budget);
  add_repr(sink, value);
  return sink.take();
}

std::string to_json(Budget& budget, const Value& value, const JsonStyle& style) {
  JsonWriter writer(budget, style);
  writer.add(value);
  return writer.take();
}

}  // namespace evo::jinja
