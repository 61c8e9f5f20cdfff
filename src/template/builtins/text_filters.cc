// Filters whose result is a text or the value itself.
#include <algorithm>
#include <unordered_map>

#include "base/ascii.h"
#include "template/builtins/builtins.h"
#include "template/format.h"
#include "template/operators.h"
#include "template/print.h"
#include "template/text.h"
#include "text/letter_case.h"
#include "text/unicode.h"

namespace evo::jinja {
namespace {

/// The text of a filter's input, as markup if that is markup; the budget of what is made of it.
Value changed(Budget& budget, const Value& input, std::string (*change)(std::string_view)) {
  const std::string text = input_text(budget, input);
  budget.spend_bytes(8 * text.size());  // characters of four bytes, and the result
  return like(input, change(text));
}

Value trim(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("trim", arguments, {"chars"});
  const Value text =
      strip_text(budget, input_text(budget, input), static_cast<int>(Side::kBoth), bound[0]);
  return like(input, std::string(text.text()));
}

Value upper(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("upper", arguments, {});
  return changed(budget, input, text::upper_case);
}

Value lower(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("lower", arguments, {});
  return changed(budget, input, text::lower_case);
}

Value capitalize(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("capitalize", arguments, {});
  return changed(budget, input, text::capitalized);
}

/// Words begin after white space, - and opening brackets; "it's" stays one.
Value title(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("title", arguments, {});
  const std::string text = input_text(budget, input);
  budget.spend_bytes(8 * text.size());
  const auto parts_words = [](std::string_view character) {
    return is_space(character) || (character.size() == 1 && std::string_view("-({[<").find(
                                                                character[0]) != std::string::npos);
  };
  std::string result, word;
  const auto end_word = [&] {
    if (word.empty()) return;
    const std::string_view first = first_character(word);
    result +=
        text::upper_case(first) + text::lower_case(std::string_view(word).substr(first.size()));
    word.clear();
  };
  for (const std::string_view character : characters(text)) {
    if (parts_words(character)) {
      end_word();
      result += character;
    } else {
      word += character;
    }
  }
  end_word();
  return result;
}

Value replace(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  const int64_t count = bound[2] && bound[2]->is(Kind::kNone) ? -1 : bound.integer(2, -1);
  return replace_text(budget, input_text(budget, input), bound.text(0, ""), bound.text(1, ""),
                      count);
}

Value indent(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  const bool named = bound[0] && bound[0]->is(Kind::kString);
  const Value margin = named ? *bound[0] : apply_binary(budget, "*", " ", bound.integer(0, 4));
  // As Jinja does it: a line end at the end stays one.
  expect_defined(input);
  if (!input.is(Kind::kString)) fault("indent expects a string, found {}", type_name(input));
  const std::string text = std::string(input.text()) + "\n";
  std::string result;
  bool first = true;
  for (const std::string_view line : split_lines(text)) {
    budget.spend_bytes(1 + margin.text().size() + line.size());
    if (!first) result += '\n';
    const bool indented =
        first ? bound.boolean(1, false) : bound.boolean(2, false) || !line.empty();
    if (indented) result += margin.text();
    result += line;
    first = false;
  }
  return like(input, std::move(result));
}

Value string(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("string", arguments, {});
  return input.is(Kind::kString) ? input : Value(to_text(budget, input));
}

/// Nothing is escaped by itself, but what is joined to markup by + or % is.
Value safe(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("safe", arguments, {});
  return Value::markup(to_text(budget, input));
}

Value escape(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("escape", arguments, {});
  return escaped(budget, input);
}

Value force_escape(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("forceescape", arguments, {});
  return escaped(budget, Value(to_text(budget, input)));
}

Value center(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("center", arguments, {"width"});
  const Value text(input_text(budget, input));
  return like(
      input,
      std::string(call_method(budget, text, "center", {{Value(bound.integer(0, 80))}, {}}).text()));
}

/// At most `length` characters and `leeway` more, cut behind a word unless `killwords`.
Value truncate(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("truncate", arguments, {"length", "killwords", "end", "leeway"});
  const int64_t length = bound.integer(0, 255), leeway = bound.integer(3, 5);
  const std::string_view end = bound.text(2, "...");
  const auto mark = static_cast<int64_t>(count_characters(end));
  if (length < mark || leeway < 0) fault("truncate: expected a length of at least {}", mark);
  if (length_of(budget, input) - leeway <= length) return input;
  const Value head = slice_of(budget, input, Value(), Value(length - mark), Value());
  if (!head.is(Kind::kString)) fault("truncate expects a string, found {}", type_name(input));
  std::string_view kept = head.text();
  if (!bound.boolean(1, false)) kept = kept.substr(0, kept.rfind(' '));
  return apply_binary(budget, "+", like(input, std::string(kept)), Value(end));
}

Value wordcount(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("wordcount", arguments, {});
  const std::string text = input_text(budget, input);
  int64_t words = 0;
  bool inside = false;
  std::string_view rest = text;
  for (size_t length = 0; !rest.empty(); rest.remove_prefix(length)) {
    const uint32_t code = text::first_character(rest, length);
    const bool part = code == '_' || text::is_of_class(code, text::CharacterClass::kLetter) ||
                      text::is_of_class(code, text::CharacterClass::kNumber);
    words += part && !inside ? 1 : 0;
    inside = part;
  }
  return words;
}

Value urlencode(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("urlencode", arguments, {});
  if (input.is(Kind::kList) || input.is(Kind::kDict)) {
    fault("urlencode of a {} is not supported", type_name(input));
  }
  std::string result;
  for (const char c : input_text(budget, input)) {
    const bool plain =
        is_letter(c) || is_digit(c) || std::string_view("_.-~/").find(c) != std::string_view::npos;
    result += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return budget.text(std::move(result));
}

/// "%s" | format(value), with names as well.
Value format(Budget& budget, const Value& input, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    fault("format takes values or names with '=', not both");
  }
  const Value pattern = input.is_markup() ? input : Value(input_text(budget, input));
  if (arguments.named.empty()) {
    return format_percent(budget, pattern, Value::tuple(arguments.positional));
  }
  std::vector<Entry> entries;
  for (const auto& [name, value] : arguments.named) entries.emplace_back(Value(name), value);
  return format_percent(budget, pattern, Value::dict(std::move(entries)));
}

/// A method or an attribute, never an entry of a dict.
Value attr(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("attr", arguments, {"name"}, 1);
  const std::string_view name = bound.text(0, "");
  if (!input.is(Kind::kDict) || has_method(input, name)) return attribute_of(budget, input, name);
  return Value::undefined(fmt::format("a dict has no attribute '{}'", name));
}

Value fallback(Budget&, const Value& input, const Arguments& arguments) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  const bool missing = input.is(Kind::kUndefined) || (bound.boolean(1, false) && !input.truthy());
  if (!missing) return input;
  return bound[0] ? *bound[0] : Value("");
}

/// json.dumps(): `indent` is a number of blanks or a text, none for one line.
Value tojson(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  // Jinja's own filter has indent first, the one of chat templates ensure_ascii.
  JsonStyle style;
  style.ensure_ascii = bound.boolean(0, false);
  style.sort_keys = bound.boolean(3, false);
  if (bound[1] && !bound[1]->is(Kind::kNone)) {
    style.lines = true;
    style.item_separator = ",";
    const Value margin = bound[1]->is(Kind::kString)
                             ? *bound[1]
                             : apply_binary(budget, "*", " ", bound.integer(1, 0));
    style.indent = margin.text();
  }
  if (bound[2] && !bound[2]->is(Kind::kNone)) {
    const bool pair = bound[2]->is(Kind::kList) && bound[2]->items().size() == 2 &&
                      std::ranges::all_of(bound[2]->items(),
                                          [](const Value& one) { return one.is(Kind::kString); });
    if (!pair) fault("tojson: expected two strings as separators");
    style.item_separator = bound[2]->items()[0].text();
    style.key_separator = bound[2]->items()[1].text();
  }
  return to_json(budget, input, style);
}

}  // namespace

Filter find_text_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> kFilters = {
      {"trim", trim},
      {"upper", upper},
      {"lower", lower},
      {"title", title},
      {"replace", replace},
      {"capitalize", capitalize},
      {"indent", indent},
      {"string", string},
      {"safe", safe},
      {"escape", escape},
      {"e", escape},
      {"forceescape", force_escape},
      {"center", center},
      {"truncate", truncate},
      {"wordcount", wordcount},
      {"format", format},
      {"urlencode", urlencode},
      {"attr", attr},
      {"default", fallback},
      {"d", fallback},
      {"tojson", tojson}};
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace evo::jinja
