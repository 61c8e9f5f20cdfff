// What templates can call: filters, tests, methods and functions.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "template/budget.h"

namespace evo::jinja {

struct Arguments {
  Items positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// Arguments under the names of the parameters, as Python binds them. Must not outlive them.
class Bound {
 public:
  /// Throws Fault for more arguments than names, for an unknown name, and where one of the first
  /// `required` is missing.
  Bound(std::string_view function, const Arguments& arguments,
        std::initializer_list<std::string_view> names, size_t required = 0);

  /// Null if it was not given.
  [[nodiscard]] const Value* operator[](size_t index) const { return values_[index]; }
  [[nodiscard]] bool boolean(size_t index, bool fallback) const;
  [[nodiscard]] int64_t integer(size_t index, int64_t fallback) const;
  [[nodiscard]] std::string_view text(size_t index, std::string_view fallback) const;

 private:
  [[noreturn]] void fail_type(size_t index, std::string_view expected) const;

  std::string_view function_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;
};

using Filter = Value (*)(Budget& budget, const Value& input, const Arguments& arguments);
template <class Item>
using Table = std::initializer_list<std::pair<std::string_view, Item>>;

// Each throws Fault for a name that it does not know.
[[nodiscard]] Value apply_filter(Budget& budget, std::string_view name, const Value& input,
                                 const Arguments& arguments);
[[nodiscard]] bool apply_test(Budget& budget, std::string_view name, const Value& value,
                              const Arguments& arguments);
[[nodiscard]] Value call_method(Budget& budget, const Value& receiver, std::string_view name,
                                const Arguments& arguments);

[[nodiscard]] bool has_method(const Value& value, std::string_view name);
/// Null if there is none of that name.
[[nodiscard]] Function find_function(std::string_view name);

// The families of filters; null if there is none of that name.
[[nodiscard]] Filter find_text_filter(std::string_view name);
[[nodiscard]] Filter find_number_filter(std::string_view name);
[[nodiscard]] Filter find_list_filter(std::string_view name);
[[nodiscard]] Filter find_choosing_filter(std::string_view name);
[[nodiscard]] Filter find_order_filter(std::string_view name);
[[nodiscard]] Filter find_filter(std::string_view name);  ///< of any family
[[nodiscard]] bool has_test(std::string_view name);

using Methods = std::unordered_map<std::string_view, Filter>;
[[nodiscard]] const Methods& text_methods();         ///< all of a string's
[[nodiscard]] const Methods& text_search_methods();  ///< of them, those that look for something

/// What a filter that works on text does with its input: str().
[[nodiscard]] std::string input_text(Budget& budget, const Value& input);

/// `text` with every `from` (at most `count`; below 0: all) replaced, within the budget.
[[nodiscard]] Value replace_text(Budget& budget, std::string_view text, std::string_view from,
                                 std::string_view to, int64_t count);

/// strip() of characters, or of white space if `set` is none or null.
[[nodiscard]] Value strip_text(Budget& budget, std::string_view text, int side, const Value* set);

/// The items of a list as text, joined; each must be text if `strict`.
[[nodiscard]] Value join_texts(Budget& budget, const Items& items, std::string_view separator,
                               bool strict);

}  // namespace evo::jinja
