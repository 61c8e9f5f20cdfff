// Numbers on the command line: what they may be is checked before anything else happens.
//
// CLI11's own Range lets NaN through, and takes whole numbers that do not fit their type for the
// largest one, and 010 for 8.
#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "base/error.h"

namespace evo::cli {

/// The longest time that a flag can name, three years.
inline constexpr double kLongestSeconds = 1e8, kLongestMinutes = 1e6;
/// The most tokens, steps or texts that a flag can name.
inline constexpr int64_t kLargestCount = int64_t{1} << 53;

/// Refuses what is no number of this type or what `holds` is false of. What is not finite is no
/// number.
template <class T, class Holds>
[[nodiscard]] CLI::Validator number_that(const std::string& range, Holds holds) {
  const char* const kind = std::integral<T> ? "a whole number" : "a number";
  const auto refuse = [=](const std::string& text) -> std::string {
    T value{};
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    bool good = error == std::errc() && rest == end;
    if constexpr (std::floating_point<T>) {
      good = good && std::isfinite(value);
    } else {
      good = good && text == fmt::format("{}", value);  // CLI11 would read 010 as 8
    }
    if (good && holds(value)) return {};
    return fmt::format("'{}': expected {} {}", text, kind, range);
  };
  return CLI::Validator(refuse, range);
}

/// For check(): numbers from `least` to `most`, whole ones if these are integers.
template <class T>
[[nodiscard]] CLI::Validator number(T least, std::type_identity_t<T> most) {
  return number_that<T>(fmt::format("from {} to {}", least, most),
                        [=](T value) { return value >= least && value <= most; });
}

/// The same without `bound` itself.
[[nodiscard]] inline CLI::Validator number_above(double bound, double most) {
  return number_that<double>(fmt::format("above {}, at most {}", bound, most),
                             [=](double value) { return value > bound && value <= most; });
}

/// The same for whole numbers that are seeds: all that the type has, from 0.
template <std::integral T>
[[nodiscard]] CLI::Validator any_seed() {
  return number(T{0}, std::numeric_limits<T>::max());
}

}  // namespace evo::cli
