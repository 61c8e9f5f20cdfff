#include "template/builtins/builtins.h"

#include <algorithm>

#include "template/print.h"
#include "template/text.h"

namespace evo::jinja {

Bound::Bound(std::string_view function, const Arguments& arguments,
             std::initializer_list<std::string_view> names, size_t required)
    : function_(function), names_(names), values_(names.size()) {
  if (arguments.positional.size() > names.size()) {
    fault("{} takes at most {} arguments, found {}", function, names.size(),
          arguments.positional.size());
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::ranges::find(names_, name);
    if (found == names_.end()) {
      fault("{} has no argument '{}': expected {}", function, name,
            names_.empty() ? "none" : fmt::format("one of {}", fmt::join(names_, ", ")));
    }
    const Value*& place = values_[found - names_.begin()];
    if (place) fault("{} was given '{}' twice", function, name);
    place = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!values_[i]) fault("{} needs the argument '{}'", function, names_[i]);
  }
}

void Bound::fail_type(size_t index, std::string_view expected) const {
  fault("{} expects {} as '{}', found {}", function_, expected, names_[index],
        type_name(*values_[index]));
}

bool Bound::boolean(size_t index, bool fallback) const {
  return values_[index] ? values_[index]->truthy() : fallback;
}

int64_t Bound::integer(size_t index, int64_t fallback) const {
  if (!values_[index]) return fallback;
  const auto value = values_[index]->as_int();
  if (!value) fail_type(index, "a whole number");
  return *value;
}

std::string_view Bound::text(size_t index, std::string_view fallback) const {
  if (!values_[index]) return fallback;
  if (!values_[index]->is(Kind::kString)) fail_type(index, "a string");
  return values_[index]->text();
}

std::string input_text(Budget& budget, const Value& input) {
  return to_text(budget, input);
}

Value replace_text(Budget& budget, std::string_view text, std::string_view from,
                   std::string_view to, int64_t count) {
  budget.spend_reading(text.size());
  size_t left = count < 0 ? SIZE_MAX : static_cast<size_t>(count);
  std::string result;
  const auto put = [&](std::string_view part) {
    budget.spend_bytes(part.size());
    result += part;
  };
  if (from.empty()) {  // Python: around every character
    for (; left > 0; --left) {
      put(to);
      if (text.empty()) return result;
      put(first_character(text));
      text.remove_prefix(first_character(text).size());
    }
  }
  for (size_t at; left > 0 && (at = find_text(text, from)) != std::string_view::npos; --left) {
    put(text.substr(0, at));
    put(to);
    text.remove_prefix(at + from.size());
  }
  put(text);
  return result;
}

Value strip_text(Budget& budget, std::string_view text, int side, const Value* set) {
  const auto from = static_cast<Side>(side);
  if (set == nullptr || set->is(Kind::kNone)) {
    budget.spend_reading(text.size());
    return budget.text(std::string(strip(text, from)));
  }
  if (!set->is(Kind::kString)) fault("strip expects a string, found {}", type_name(*set));
  budget.spend_reading(text.size() * (1 + set->text().size()));
  return budget.text(std::string(strip(text, from, set->text())));
}

Value join_texts(Budget& budget, const Items& items, std::string_view separator, bool strict) {
  std::string result;
  for (size_t i = 0; i < items.size(); ++i) {
    if (strict && !items[i].is(Kind::kString)) {
      fault("join expects strings, found {}", type_name(items[i]));
    }
    const std::string text = to_text(budget, items[i]);
    budget.spend_bytes(separator.size());
    if (i > 0) result += separator;
    result += text;
  }
  return result;
}

Filter find_filter(std::string_view name) {
  for (const auto find : {find_text_filter, find_number_filter, find_list_filter,
                          find_choosing_filter, find_order_filter}) {
    if (const Filter filter = find(name)) return filter;
  }
  return nullptr;
}

Value apply_filter(Budget& budget, std::string_view name, const Value& input,
                   const Arguments& arguments) {
  budget.spend_steps(1);
  const Filter filter = find_filter(name);
  if (!filter) fault("there is no filter '{}'", name);
  return filter(budget, input, arguments);
}

}  // namespace evo::jinja
