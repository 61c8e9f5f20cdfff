// Methods of strings that take them apart, put them together or show them otherwise.
#include <algorithm>

#include "template/builtins/builtins.h"
#include "template/format.h"
#include "template/operators.h"
#include "template/text.h"
#include "text/letter_case.h"

namespace evo::jinja {
namespace {

/// Some text of `self`, and markup if that is.
Value piece(Budget& budget, const Value& self, std::string_view text) {
  budget.spend_bytes(text.size());
  return like(self, std::string(text));
}

template <Side kSide>
Value strip_method(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("strip", arguments, {"chars"});
  const Value text = strip_text(budget, self.text(), static_cast<int>(kSide), bound[0]);
  return like(self, std::string(text.text()));
}

/// Words between white space; after `limit` of them the rest is one.
Items split_words(Budget& budget, const Value& self, size_t limit) {
  std::string_view text = self.text();
  Items words;
  for (text = strip(text, Side::kLeft); !text.empty(); text = strip(text, Side::kLeft)) {
    size_t end = 0;
    while (end < text.size() && !is_space(first_character(text.substr(end)))) {
      end += first_character(text.substr(end)).size();
    }
    if (words.size() == limit) end = text.size();
    words.push_back(piece(budget, self, text.substr(0, end)));
    text.remove_prefix(end);
  }
  return words;
}

/// The same from the right.
Items split_last_words(Budget& budget, const Value& self, size_t limit) {
  std::string_view text = self.text();
  Items words;
  for (text = strip(text, Side::kRight); !text.empty(); text = strip(text, Side::kRight)) {
    size_t begin = text.size();
    const std::vector<std::string_view> all = characters(text);
    budget.spend_items(all.size());
    for (size_t i = all.size(); i > 0 && !is_space(all[i - 1]); --i) begin -= all[i - 1].size();
    if (words.size() == limit) begin = 0;
    words.push_back(piece(budget, self, text.substr(begin)));
    text = text.substr(0, begin);
  }
  std::ranges::reverse(words);
  return words;
}

Value split(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("split", arguments, {"sep", "maxsplit"});
  const int64_t most = bound.integer(1, -1);
  const size_t limit = most < 0 ? SIZE_MAX : static_cast<size_t>(most);
  std::string_view text = self.text();
  budget.spend_reading(text.size());
  if (!bound[0] || bound[0]->is(Kind::kNone)) return budget.list(split_words(budget, self, limit));
  const std::string_view separator = bound.text(0, "");
  if (separator.empty()) fault("split: the separator is empty");
  Items parts;
  for (size_t at;
       parts.size() < limit && (at = find_text(text, separator)) != std::string_view::npos;) {
    budget.spend_items(1);
    parts.push_back(piece(budget, self, text.substr(0, at)));
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(piece(budget, self, text));
  return budget.list(std::move(parts));
}

Value rsplit(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("rsplit", arguments, {"sep", "maxsplit"});
  const int64_t most = bound.integer(1, -1);
  const size_t limit = most < 0 ? SIZE_MAX : static_cast<size_t>(most);
  if (!bound[0] || bound[0]->is(Kind::kNone)) {
    return budget.list(split_last_words(budget, self, limit));
  }
  const std::string_view separator = bound.text(0, "");
  if (separator.empty()) fault("rsplit: the separator is empty");
  std::string_view text = self.text();
  Items parts;
  for (size_t at; parts.size() < limit && (at = text.rfind(separator)) != std::string_view::npos;) {
    budget.spend_reading(text.size() * separator.size());
    parts.push_back(piece(budget, self, text.substr(at + separator.size())));
    text = text.substr(0, at);
  }
  parts.push_back(piece(budget, self, text));
  std::ranges::reverse(parts);
  return budget.list(std::move(parts));
}

Value splitlines(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("splitlines", arguments, {"keepends"});
  budget.spend_items(self.text().size());
  Items lines;
  for (const std::string_view line : split_lines(self.text(), bound.boolean(0, false))) {
    lines.push_back(piece(budget, self, line));
  }
  return budget.list(std::move(lines));
}

/// startswith() and endswith() take one text or a tuple of them.
Value removeprefix(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("removeprefix", arguments, {"prefix"}, 1);
  std::string_view text = self.text();
  if (text.starts_with(bound.text(0, ""))) text.remove_prefix(bound.text(0, "").size());
  return piece(budget, self, text);
}

Value removesuffix(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("removesuffix", arguments, {"suffix"}, 1);
  std::string_view text = self.text();
  if (text.ends_with(bound.text(0, ""))) text.remove_suffix(bound.text(0, "").size());
  return piece(budget, self, text);
}

Value replace_method(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  const Value by =
      self.is_markup() && bound[1] ? escaped(budget, *bound[1]) : Value(bound.text(1, ""));
  const Value text =
      replace_text(budget, self.text(), bound.text(0, ""), by.text(), bound.integer(2, -1));
  return like(self, std::string(text.text()));
}

/// A markup's items are escaped.
Value join_method(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("join", arguments, {"iterable"}, 1);
  Items items = elements_of(budget, *bound[0]);
  if (self.is_markup()) {
    for (Value& item : items) item = escaped(budget, item);
  }
  return like(self, std::string(join_texts(budget, items, self.text(), true).text()));
}

template <std::string (*kChange)(std::string_view)>
Value case_method(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("a change of case", arguments, {});
  budget.spend_bytes(8 * self.text().size());  // characters of four bytes, and the result
  return like(self, kChange(self.text()));
}

/// (before, separator, behind) of where the separator is first, or last.
template <bool kLast>
Value partition(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("partition", arguments, {"sep"}, 1);
  const std::string_view text = self.text(), separator = bound.text(0, "");
  if (separator.empty()) fault("partition: the separator is empty");
  budget.spend_reading(kLast ? text.size() * separator.size() : text.size());
  const size_t at = kLast ? text.rfind(separator) : find_text(text, separator);
  const auto part = [&](std::string_view one) { return piece(budget, self, one); };
  if (at == std::string_view::npos) {
    return kLast ? Value::tuple({part(""), part(""), part(text)})
                 : Value::tuple({part(text), part(""), part("")});
  }
  return Value::tuple(
      {part(text.substr(0, at)), part(separator), part(text.substr(at + separator.size()))});
}

/// Fills a text up to `width` characters; `align` is as in format().
Value padded(Budget& budget, const Value& self, const Arguments& arguments, char align) {
  const Bound bound("ljust, rjust or center", arguments, {"width", "fillchar"}, 1);
  const std::string_view fill = bound.text(1, " ");
  if (count_characters(fill) != 1) fault("expected one character to fill with");
  budget.spend_reading(self.text().size());
  const auto size = static_cast<int64_t>(count_characters(self.text()));
  const int64_t room = std::max<int64_t>(0, bound.integer(0, 0) - size);
  if (room > UINT32_MAX) fault("a width of {} characters is too much", room);
  budget.spend_bytes(self.text().size() + static_cast<size_t>(room) * fill.size());
  // Python's center() puts the odd one to the left where the width is odd.
  const int64_t half = room / 2 + (room & (size + room) & 1);
  const int64_t left = align == '<' ? 0 : align == '>' ? room : half;
  std::string text;
  for (int64_t i = 0; i < left; ++i) text += fill;
  text += self.text();
  for (int64_t i = left; i < room; ++i) text += fill;
  return like(self, std::move(text));
}

template <char kAlign>
Value pad(Budget& budget, const Value& self, const Arguments& arguments) {
  return padded(budget, self, arguments, kAlign);
}

/// Zeros behind the sign.
Value zfill(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("zfill", arguments, {"width"}, 1);
  const std::string_view text = self.text();
  const size_t sign = text.starts_with('+') || text.starts_with('-') ? 1 : 0;
  const int64_t width = bound.integer(0, 0) - static_cast<int64_t>(sign);
  const Value digits(text.substr(sign));
  const Value filled = padded(budget, digits, {{Value(width), Value("0")}, {}}, '>');
  return like(self, std::string(text.substr(0, sign)) + std::string(filled.text()));
}

Value format_map(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("format_map", arguments, {"mapping"}, 1);
  if (!bound[0]->is(Kind::kDict))
    fault("format_map expects a dict, found {}", type_name(*bound[0]));
  Arguments names;
  for (const auto& [key, value] : bound[0]->entries()) {
    if (key.is(Kind::kString)) names.named.emplace_back(key.text(), value);
  }
  budget.spend_items(2 * names.named.size());
  return format_fields(budget, self, names);
}

}  // namespace

const Methods& text_methods() {
  static const Methods kMethods = [] {
    Methods all = {{"strip", strip_method<Side::kBoth>},
                   {"lstrip", strip_method<Side::kLeft>},
                   {"rstrip", strip_method<Side::kRight>},
                   {"split", split},
                   {"rsplit", rsplit},
                   {"splitlines", splitlines},
                   {"partition", partition<false>},
                   {"rpartition", partition<true>},
                   {"removeprefix", removeprefix},
                   {"removesuffix", removesuffix},
                   {"replace", replace_method},
                   {"join", join_method},
                   {"upper", case_method<text::upper_case>},
                   {"lower", case_method<text::lower_case>},
                   {"title", case_method<text::title_case>},
                   {"capitalize", case_method<text::capitalized>},
                   {"swapcase", case_method<text::swapped_case>},
                   {"casefold", case_method<text::folded_case>},
                   {"ljust", pad<'<'>},
                   {"rjust", pad<'>'>},
                   {"center", pad<'^'>},
                   {"zfill", zfill},
                   {"format", format_fields},
                   {"format_map", format_map}};
    all.insert(text_search_methods().begin(), text_search_methods().end());
    return all;
  }();
  return kMethods;
}

}  // namespace evo::jinja
