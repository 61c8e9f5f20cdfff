// Methods of strings, dicts and lists.
#include <algorithm>
#include <unordered_map>

#include "template/builtins/builtins.h"
#include "template/operators.h"
#include "template/text.h"

namespace evo::jinja {
namespace {

using Methods = std::unordered_map<std::string_view, Filter>;

template <Side kSide>
Value strip_method(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("strip", arguments, {"chars"});
  return strip_text(budget, self.text(), static_cast<int>(kSide), bound[0]);
}

/// Words between white space; after `limit` of them the rest is one.
Items split_words(Budget& budget, std::string_view text, size_t limit) {
  Items words;
  for (text = strip(text, Side::kLeft); !text.empty(); text = strip(text, Side::kLeft)) {
    size_t end = 0;
    while (end < text.size() && !is_space(first_character(text.substr(end)))) {
      end += first_character(text.substr(end)).size();
    }
    if (words.size() == limit) end = text.size();
    words.push_back(budget.text(std::string(text.substr(0, end))));
    text.remove_prefix(end);
  }
  return words;
}

Value split(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("split", arguments, {"sep", "maxsplit"});
  const int64_t most = bound.integer(1, -1);
  const size_t limit = most < 0 ? SIZE_MAX : static_cast<size_t>(most);
  std::string_view text = self.text();
  budget.spend_reading(text.size());
  if (!bound[0] || bound[0]->is(Kind::kNone)) return budget.list(split_words(budget, text, limit));
  const std::string_view separator = bound.text(0, "");
  if (separator.empty()) fault("split: the separator is empty");
  Items parts;
  for (size_t at;
       parts.size() < limit && (at = find_text(text, separator)) != std::string_view::npos;) {
    budget.spend_items(1);
    parts.push_back(budget.text(std::string(text.substr(0, at))));
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(budget.text(std::string(text)));
  return budget.list(std::move(parts));
}

Value rsplit(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("rsplit", arguments, {"sep", "maxsplit"}, 1);
  const std::string_view separator = bound.text(0, "");
  if (separator.empty()) fault("rsplit: the separator is empty");
  const int64_t most = bound.integer(1, -1);
  const size_t limit = most < 0 ? SIZE_MAX : static_cast<size_t>(most);
  std::string_view text = self.text();
  Items parts;
  for (size_t at; parts.size() < limit && (at = text.rfind(separator)) != std::string_view::npos;) {
    budget.spend_reading(text.size() * separator.size());
    parts.push_back(budget.text(std::string(text.substr(at + separator.size()))));
    text = text.substr(0, at);
  }
  parts.push_back(budget.text(std::string(text)));
  std::ranges::reverse(parts);
  return budget.list(std::move(parts));
}

Value splitlines(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("splitlines", arguments, {});
  budget.spend_items(self.text().size());
  Items lines;
  for (const std::string_view line : split_lines(self.text())) {
    lines.push_back(budget.text(std::string(line)));
  }
  return budget.list(std::move(lines));
}

/// startswith() and endswith() take one text or a tuple of them.
template <class Test>
Value any_affix(Budget& budget, std::string_view name, const Arguments& arguments,
                const Test& test) {
  const Bound bound(name, arguments, {"affix"}, 1);
  const Items one = {*bound[0]};
  for (const Value& affix : bound[0]->is_tuple() ? bound[0]->items() : one) {
    if (!affix.is(Kind::kString)) fault("{} expects a string, found {}", name, type_name(affix));
    budget.spend_reading(affix.text().size());
    if (test(affix.text())) return true;
  }
  return false;
}

Value startswith(Budget& budget, const Value& self, const Arguments& arguments) {
  return any_affix(budget, "startswith", arguments,
                   [&](std::string_view affix) { return self.text().starts_with(affix); });
}

Value endswith(Budget& budget, const Value& self, const Arguments& arguments) {
  return any_affix(budget, "endswith", arguments,
                   [&](std::string_view affix) { return self.text().ends_with(affix); });
}

Value removeprefix(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("removeprefix", arguments, {"prefix"}, 1);
  std::string_view text = self.text();
  if (text.starts_with(bound.text(0, ""))) text.remove_prefix(bound.text(0, "").size());
  return budget.text(std::string(text));
}

Value removesuffix(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("removesuffix", arguments, {"suffix"}, 1);
  std::string_view text = self.text();
  if (text.ends_with(bound.text(0, ""))) text.remove_suffix(bound.text(0, "").size());
  return budget.text(std::string(text));
}

Value replace_method(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  return replace_text(budget, self.text(), bound.text(0, ""), bound.text(1, ""),
                      bound.integer(2, -1));
}

/// A word is a run of letters, so "it's" becomes "It'S": what Python's method does.
Value title_method(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("title", arguments, {});
  budget.spend_bytes(self.text().size());
  std::string text = to_lower(std::string(self.text()));
  bool inside = false;
  for (char& c : text) {
    const bool letter = is_letter(c) || static_cast<unsigned char>(c) >= 0x80;
    if (!inside) c = to_upper(c);
    inside = letter;
  }
  return text;
}

/// A filter of the same name that takes the same arguments.
template <const char* kName>
Value as_filter(Budget& budget, const Value& self, const Arguments& arguments) {
  return apply_filter(budget, kName, self, arguments);
}
constexpr char kUpper[] = "upper", kLower[] = "lower", kCapitalize[] = "capitalize";

Value find(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("find", arguments, {"sub"}, 1);
  budget.spend_reading(self.text().size());
  const size_t at = find_text(self.text(), bound.text(0, ""));
  if (at == std::string_view::npos) return int64_t{-1};
  return static_cast<int64_t>(count_characters(self.text().substr(0, at)));
}

Value count(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"sub"}, 1);
  budget.spend_reading(self.text().size());
  const std::string_view part = bound.text(0, "");
  const size_t number =
      part.empty() ? count_characters(self.text()) + 1 : count_text(self.text(), part);
  return static_cast<int64_t>(number);
}

Value join_method(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("join", arguments, {"iterable"}, 1);
  return join_texts(budget, elements_of(budget, *bound[0]), self.text(), true);
}

Value isdigit(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("isdigit", arguments, {});
  budget.spend_reading(self.text().size());
  return !self.text().empty() &&
         self.text().find_first_not_of("0123456789") == std::string_view::npos;
}

Value dict_items(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("items", arguments, {});
  budget.spend_items(3 * self.entries().size());
  Items items;
  for (const auto& [key, value] : self.entries()) items.push_back(Value::tuple({key, value}));
  return Value::list(std::move(items));
}

Value dict_keys(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("keys", arguments, {});
  return Value::list(elements_of(budget, self));
}

Value dict_values(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("values", arguments, {});
  Items values;
  for (const auto& [key, value] : self.entries()) values.push_back(value);
  return budget.list(std::move(values));
}

Value dict_get(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("get", arguments, {"key", "default"}, 1);
  if (const auto found = find_key(budget, self, *bound[0])) return self.entries()[*found].second;
  return bound[1] ? *bound[1] : Value();
}

Value list_count(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"value"}, 1);
  return std::ranges::count_if(self.items(),
                               [&](const Value& one) { return equal(budget, one, *bound[0]); });
}

const Methods& methods_of(const Value& value) {
  static const Methods kText = {{"strip", strip_method<Side::kBoth>},
                                {"lstrip", strip_method<Side::kLeft>},
                                {"rstrip", strip_method<Side::kRight>},
                                {"split", split},
                                {"rsplit", rsplit},
                                {"splitlines", splitlines},
                                {"startswith", startswith},
                                {"endswith", endswith},
                                {"removeprefix", removeprefix},
                                {"removesuffix", removesuffix},
                                {"replace", replace_method},
                                {"title", title_method},
                                {"upper", as_filter<kUpper>},
                                {"lower", as_filter<kLower>},
                                {"capitalize", as_filter<kCapitalize>},
                                {"find", find},
                                {"count", count},
                                {"join", join_method},
                                {"isdigit", isdigit}};
  static const Methods kDict = {
      {"items", dict_items}, {"keys", dict_keys}, {"values", dict_values}, {"get", dict_get}};
  static const Methods kList = {{"count", list_count}};
  static const Methods kNone;
  return value.is(Kind::kString) ? kText
         : value.is(Kind::kDict) ? kDict
         : value.is(Kind::kList) ? kList
                                 : kNone;
}

}  // namespace

bool has_method(const Value& value, std::string_view name) {
  return methods_of(value).contains(name);
}

Value call_method(Budget& budget, const Value& receiver, std::string_view name,
                  const Arguments& arguments) {
  const Methods& methods = methods_of(receiver);
  const auto found = methods.find(name);
  EVO_CHECK(found != methods.end());
  budget.spend_steps(1);
  return found->second(budget, receiver, arguments);
}

}  // namespace evo::jinja
