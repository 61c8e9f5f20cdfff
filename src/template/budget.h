// What rendering a template may cost, and how it fails.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/error.h"
#include "template/value.h"

namespace evo::jinja {

inline constexpr size_t kNoOffset = SIZE_MAX;

/// A fault of a template, on its way to become an Error with line and column.
struct Fault {
  std::string message;
  size_t offset = kNoOffset;  ///< in the source
};

template <class... Args>
[[noreturn]] void fault(fmt::format_string<Args...> format, Args&&... args) {
  throw Fault{fmt::format(format, std::forward<Args>(args)...)};
}

/// The template itself said no, by raise_exception().
struct Refusal {
  std::string message;
};

/// Work and memory that are left. Memory is never given back: what a template makes in all bounds
/// what it has at any time.
class Budget {
 public:
  Budget(int64_t steps, int64_t bytes)
      : steps_(steps), bytes_(bytes), all_steps_(steps), all_bytes_(bytes) {}

  /// Before work of `steps` evaluations, or of so many elements.
  void spend_steps(size_t steps) {
    if (std::cmp_greater(steps, steps_)) {
      fault("the template takes more than {} steps: does it loop for ever?", all_steps_);
    }
    steps_ -= static_cast<int64_t>(steps);
  }
  /// Before reading `bytes` of text.
  void spend_reading(size_t bytes) { spend_steps(1 + bytes / 64); }
  /// Before making something of `bytes`.
  void spend_bytes(size_t bytes) {
    spend_reading(bytes);
    if (std::cmp_greater(bytes, bytes_)) {
      fault("the template makes more than {} bytes of text and lists", all_bytes_);
    }
    bytes_ -= static_cast<int64_t>(bytes);
  }
  /// Before making a list of `count` values.
  void spend_items(size_t count) {
    spend_steps(count);
    spend_bytes(count * sizeof(Value));
  }

  [[nodiscard]] Value text(std::string value) {
    spend_bytes(value.size());
    return Value(std::move(value));
  }
  [[nodiscard]] Value list(Items items) {
    spend_items(items.size());
    return Value::list(std::move(items));
  }

 private:
  int64_t steps_, bytes_;
  int64_t all_steps_, all_bytes_;
};

}  // namespace evo::jinja
