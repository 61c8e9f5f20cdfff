#include "json/fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/closest.h"

namespace evo::json::fields {
namespace {

template <class T>
constexpr const char* kExpected = "";
template <>
constexpr const char* kExpected<bool> = "true or false";
template <>
constexpr const char* kExpected<int32_t> = "a whole number of 32 bits";
template <>
constexpr const char* kExpected<int64_t> = "a whole number";
template <>
constexpr const char* kExpected<float> = "a number";
template <>
constexpr const char* kExpected<double> = "a number";

[[noreturn]] void fail_value(std::string_view name, std::string_view expected,
                             std::string_view text) {
  throw UsageError(fmt::format("{} must be {}, found \"{}\"", name, expected, text));
}

/// The whole of `text` as one number; nothing may be left over, and NaN and infinity are refused.
template <class T>
T parse_number(std::string_view name, std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool good = error == std::errc() && end == text.data() + text.size();
  if constexpr (std::floating_point<T>) good = good && std::isfinite(value);
  if (!good) fail_value(name, kExpected<T>, text);
  return value;
}

/// "1,2,3"; "" is the empty array.
template <class T>
std::vector<T> parse_numbers(std::string_view name, std::string_view text) {
  std::vector<T> values;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    values.push_back(parse_number<T>(name, text.substr(0, comma)));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) fail_value(name, "numbers with commas between them", ",");
  }
  return values;
}

template <class To, class From>
To narrowed(const json::Record& record, const char* name, From value, bool fits) {
  if (!fits) {
    fail("{}: \"{}\" is {}, which is out of range (largest: {})", record.source(), name, value,
         std::numeric_limits<To>::max());
  }
  return static_cast<To>(value);
}

}  // namespace

template <FieldType T>
void read_value(const json::Record& record, const char* name, T& value) {
  if constexpr (std::same_as<T, bool>) {
    value = record.get_bool(name);
  } else if constexpr (std::same_as<T, int64_t>) {
    value = record.get_int(name);
  } else if constexpr (std::same_as<T, int32_t>) {
    const int64_t wide = record.get_int(name);
    value = narrowed<int32_t>(record, name, wide, std::in_range<int32_t>(wide));
  } else if constexpr (std::same_as<T, double>) {
    value = record.get_double(name);
  } else if constexpr (std::same_as<T, float>) {
    const double wide = record.get_double(name);
    const bool fits = std::abs(wide) <= std::numeric_limits<float>::max();
    value = narrowed<float>(record, name, wide, fits);
  } else if constexpr (std::same_as<T, std::string>) {
    value = record.get_string(name);
  } else if constexpr (std::same_as<T, std::vector<int64_t>>) {
    value = record.get_ints(name);
  } else {
    value = record.get_doubles(name);
  }
}

template <FieldType T>
void write_value(json::Record& record, const char* name, const T& value) {
  if constexpr (std::same_as<T, float>) {
    // The shortest decimal that gives this float back: 0.1, not 0.10000000149011612.
    const bool finite = std::isfinite(value);
    record.set(name, finite ? parse_number<double>(name, format_value(value)) : double{value});
  } else {
    record.set(name, value);
  }
}

template <FieldType T>
void parse_value(std::string_view name, std::string_view text, T& value) {
  if constexpr (std::same_as<T, std::string>) {
    value = text;
  } else if constexpr (std::same_as<T, bool>) {
    if (text != "true" && text != "false") fail_value(name, kExpected<bool>, text);
    value = text == "true";
  } else if constexpr (std::same_as<T, std::vector<int64_t>>) {
    value = parse_numbers<int64_t>(name, text);
  } else if constexpr (std::same_as<T, std::vector<double>>) {
    value = parse_numbers<double>(name, text);
  } else {
    value = parse_number<T>(name, text);
  }
}

template <FieldType T>
std::string format_value(const T& value) {
  if constexpr (std::same_as<T, std::vector<int64_t>> || std::same_as<T, std::vector<double>>) {
    return fmt::format("{}", fmt::join(value, ","));
  } else {
    return fmt::format("{}", value);
  }
}

#define EVO_INSTANTIATE_FIELD(T)                                     \
  template void read_value(const Record&, const char*, T&);          \
  template void write_value(Record&, const char*, const T&);         \
  template void parse_value(std::string_view, std::string_view, T&); \
  template std::string format_value(const T&);
EVO_INSTANTIATE_FIELD(bool)
EVO_INSTANTIATE_FIELD(int32_t)
EVO_INSTANTIATE_FIELD(int64_t)
EVO_INSTANTIATE_FIELD(float)
EVO_INSTANTIATE_FIELD(double)
EVO_INSTANTIATE_FIELD(std::string)
EVO_INSTANTIATE_FIELD(std::vector<int64_t>)
EVO_INSTANTIATE_FIELD(std::vector<double>)
#undef EVO_INSTANTIATE_FIELD

void check_known_keys(const json::Record& record, const std::vector<std::string>& known) {
  for (const std::string& key : record.keys()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string hint = did_you_mean(key, known);
    fail("{}: unknown key \"{}\"{}", record.source(), key,
         hint.empty() ? fmt::format("; known are {}", fmt::join(known, ", ")) : hint);
  }
}

void fail_unknown_assignment(std::string_view name, const std::vector<std::string>& known) {
  throw UsageError(fmt::format("--set: unknown setting '{}': expected one of {}{}", name,
                               fmt::join(known, ", "), did_you_mean(name, known)));
}

void split_assignment(std::string_view assignment, std::string& name, std::string& value) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    throw UsageError(fmt::format("expected key=value, found \"{}\"", assignment));
  }
  name = assignment.substr(0, equals);
  value = assignment.substr(equals + 1);
}

std::string help_line(std::string_view name, std::string_view value, std::string_view help) {
  constexpr int kHelpColumn = 36;
  return fmt::format("  {:<{}} {}", fmt::format("{}={}", name, value), kHelpColumn, help);
}

}  // namespace evo::json::fields
