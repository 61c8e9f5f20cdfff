// Methods of strings that look for something in them, or say of what characters they are.
#include <algorithm>

#include "template/builtins/builtins.h"
#include "template/operators.h"
#include "template/text.h"
#include "text/letter_case.h"
#include "text/unicode.h"

namespace evo::jinja {
namespace {

/// The part of a text that `start` and `end` leave, both counted in characters.
struct Window {
  std::string_view text;
  int64_t before = 0;    ///< characters that lie before it
  bool outside = false;  ///< it begins behind the text's end
};

/// Arguments `first` and the one behind it, which Python takes as it takes those of a slice.
Window window_of(Budget& budget, const Value& self, const Bound& bound, size_t first) {
  std::string_view text = self.text();
  if (!bound[first] && !bound[first + 1]) return {text};
  budget.spend_items(text.size());
  const std::vector<std::string_view> all = characters(text);
  const auto size = std::ssize(all);
  const auto place = [&](size_t index, int64_t usual) {
    if (!bound[index] || bound[index]->is(Kind::kNone)) return usual;
    const int64_t given = bound.integer(index, usual);
    return given < 0 ? std::max<int64_t>(0, given + size) : given;
  };
  const int64_t begin = place(first, 0), end = std::min(size, place(first + 1, size));
  if (begin > end) return {"", begin, true};
  size_t offset = 0, length = 0;
  for (int64_t i = 0; i < end; ++i) {
    (i < begin ? offset : length) += all[static_cast<size_t>(i)].size();
  }
  return {text.substr(offset, length), begin};
}

/// Where `sub` is first, or last, in characters; -1 if it is nowhere.
int64_t place_of(Budget& budget, const Value& self, const Bound& bound, bool last) {
  const Window window = window_of(budget, self, bound, 1);
  const std::string_view part = bound.text(0, "");
  budget.spend_reading(last ? window.text.size() * (1 + part.size()) : window.text.size());
  if (window.outside) return -1;
  const size_t at = last ? window.text.rfind(part) : find_text(window.text, part);
  if (at == std::string_view::npos) return -1;
  return window.before + static_cast<int64_t>(count_characters(window.text.substr(0, at)));
}

template <bool kLast>
Value find(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("find", arguments, {"sub", "start", "end"}, 1);
  return place_of(budget, self, bound, kLast);
}

template <bool kLast>
Value index(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("index", arguments, {"sub", "start", "end"}, 1);
  const int64_t place = place_of(budget, self, bound, kLast);
  if (place < 0) fault("index: the text is not there");
  return place;
}

Value count(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"sub", "start", "end"}, 1);
  const Window window = window_of(budget, self, bound, 1);
  budget.spend_reading(window.text.size());
  const std::string_view part = bound.text(0, "");
  if (window.outside) return int64_t{0};
  const size_t number =
      part.empty() ? count_characters(window.text) + 1 : count_text(window.text, part);
  return static_cast<int64_t>(number);
}

/// startswith() and endswith() take one text or a tuple of them.
template <bool kEnd>
Value has_affix(Budget& budget, const Value& self, const Arguments& arguments) {
  constexpr std::string_view kName = kEnd ? "endswith" : "startswith";
  const Bound bound(kName, arguments, {"affix", "start", "end"}, 1);
  const Window window = window_of(budget, self, bound, 1);
  const Items one = {*bound[0]};
  for (const Value& affix : bound[0]->is_tuple() ? bound[0]->items() : one) {
    if (!affix.is(Kind::kString)) fault("{} expects a string, found {}", kName, type_name(affix));
    budget.spend_reading(affix.text().size());
    const bool found =
        kEnd ? window.text.ends_with(affix.text()) : window.text.starts_with(affix.text());
    if (found && !window.outside) return true;
  }
  return false;
}

/// Calls test(code point) for the characters until one says no; bytes that are none are U+FFFD.
template <class Test>
bool all_characters(Budget& budget, const Value& self, const Test& test) {
  budget.spend_reading(4 * self.text().size());
  std::string_view rest = self.text();
  for (size_t length = 0; !rest.empty(); rest.remove_prefix(length)) {
    if (!test(text::first_character(rest, length))) return false;
  }
  return true;
}

template <text::CharacterClass... kClasses>
Value is_all_of(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("a test of characters", arguments, {});
  return !self.text().empty() && all_characters(budget, self, [](uint32_t code) {
    return (text::is_of_class(code, kClasses) || ...);
  });
}

/// No letter of another case, and one at least.
template <text::CharacterClass kCase>
Value is_case(Budget& budget, const Value& self, const Arguments& arguments) {
  constexpr text::CharacterClass kOther = kCase == text::CharacterClass::kUpper
                                              ? text::CharacterClass::kLower
                                              : text::CharacterClass::kUpper;
  const Bound bound("a test of case", arguments, {});
  bool any = false;
  const bool all = all_characters(budget, self, [&](uint32_t code) {
    any |= text::is_of_class(code, kCase);
    return !text::is_of_class(code, kOther) &&
           !text::is_of_class(code, text::CharacterClass::kTitle);
  });
  return all && any;
}

/// Upper case begins every run of letters, and stands nowhere else.
Value is_title(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("istitle", arguments, {});
  bool any = false, inside = false;
  const bool all = all_characters(budget, self, [&](uint32_t code) {
    const bool head = text::is_of_class(code, text::CharacterClass::kUpper) ||
                      text::is_of_class(code, text::CharacterClass::kTitle);
    const bool small = text::is_of_class(code, text::CharacterClass::kLower);
    const bool fits = head ? !inside : !small || inside;
    inside = head || small;
    any |= inside;
    return fits;
  });
  return all && any;
}

Value is_space_only(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("isspace", arguments, {});
  budget.spend_reading(self.text().size());
  return !self.text().empty() && strip(self.text()).empty();
}

Value is_ascii(Budget& budget, const Value& self, const Arguments& arguments) {
  const Bound bound("isascii", arguments, {});
  return all_characters(budget, self, [](uint32_t code) { return code < 0x80; });
}

}  // namespace

const Methods& text_search_methods() {
  using enum text::CharacterClass;
  static const Methods kMethods = {{"find", find<false>},
                                   {"rfind", find<true>},
                                   {"index", index<false>},
                                   {"rindex", index<true>},
                                   {"count", count},
                                   {"startswith", has_affix<false>},
                                   {"endswith", has_affix<true>},
                                   {"isalpha", is_all_of<kLetter>},
                                   {"isalnum", is_all_of<kLetter, kNumber>},
                                   {"isdecimal", is_all_of<kDecimal>},
                                   {"isdigit", is_all_of<kDigit>},
                                   {"isnumeric", is_all_of<kNumber>},
                                   {"isupper", is_case<kUpper>},
                                   {"islower", is_case<kLower>},
                                   {"istitle", is_title},
                                   {"isspace", is_space_only},
                                   {"isascii", is_ascii}};
  return kMethods;
}

}  // namespace evo::jinja
