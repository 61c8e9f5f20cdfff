// The functions that every chat template may call.
#include <array>
#include <ctime>
#include <unordered_map>

#include "template/builtins/builtins.h"
#include "template/operators.h"

namespace evo::jinja {
namespace {

/// How many numbers a range has.
uint64_t range_size(int64_t begin, int64_t end, int64_t step) {
  if (step == 0) fault("range: the step is 0");
  const bool up = step > 0;
  if (up ? begin >= end : begin <= end) return 0;
  // Unsigned, as the distance may not fit into a signed number.
  const auto low = static_cast<uint64_t>(up ? begin : end);
  const auto high = static_cast<uint64_t>(up ? end : begin);
  const uint64_t stride = up ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  return (high - low - 1) / stride + 1;
}

Value range(Budget& budget, const Arguments& arguments) {
  const Bound bound("range", arguments, {"start", "stop", "step"}, 1);
  const int64_t begin = bound[1] ? bound.integer(0, 0) : 0;
  const int64_t end = bound[1] ? bound.integer(1, 0) : bound.integer(0, 0);
  const int64_t step = bound.integer(2, 1);
  const uint64_t count = range_size(begin, end, step);
  if (count > UINT32_MAX) fault("range: {} numbers are too many", count);
  budget.spend_items(count);
  Items items;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t number = static_cast<uint64_t>(begin) + i * static_cast<uint64_t>(step);
    items.emplace_back(static_cast<int64_t>(number));
  }
  return Value::list(std::move(items));
}

/// The entries that a dict or keyword arguments give.
std::vector<Entry> entries_of(Budget& budget, std::string_view name, const Arguments& arguments) {
  std::vector<Entry> entries;
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    if (arguments.positional.size() > 1 || !(from.is(Kind::kDict) || from.is(Kind::kList))) {
      fault("{} expects a dict, pairs, or names with '='", name);
    }
    if (from.is(Kind::kDict)) {
      entries = from.entries();
    } else {
      for (const Value& pair : elements_of(budget, from)) {
        const Items two = elements_of(budget, pair, 3);
        if (two.size() != 2) fault("{} expects pairs of a key and a value", name);
        entries.emplace_back(two[0], two[1]);
      }
    }
  }
  for (const auto& [key, value] : arguments.named) entries.emplace_back(Value(key), value);
  budget.spend_items(2 * entries.size());
  return entries;
}

Value name_space(Budget& budget, const Arguments& arguments) {
  std::vector<std::pair<std::string, Value>> attributes;
  for (const auto& [key, value] : entries_of(budget, "namespace", arguments)) {
    if (!key.is(Kind::kString)) fault("namespace expects names, found {}", type_name(key));
    attributes.emplace_back(key.text(), value);
  }
  return Value::name_space(std::move(attributes));
}

Value dict(Budget& budget, const Arguments& arguments) {
  return make_dict(budget, entries_of(budget, "dict", arguments));
}

Value raise_exception(Budget&, const Arguments& arguments) {
  const Bound bound("raise_exception", arguments, {"message"}, 1);
  throw Refusal{std::string(bound.text(0, ""))};
}

Value strftime_now(Budget& budget, const Arguments& arguments) {
  const Bound bound("strftime_now", arguments, {"format"}, 1);
  const std::string format(bound.text(0, ""));
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 256> buffer;
  const size_t length = std::strftime(buffer.data(), buffer.size(), format.c_str(), &local);
  if (length == 0 && !format.empty())
    fault("strftime_now: the format '{}' gives no text", format.substr(0, 80));
  return budget.text(std::string(buffer.data(), length));
}

}  // namespace

Function find_function(std::string_view name) {
  static const std::unordered_map<std::string_view, Function> kFunctions = {
      {"range", range},
      {"namespace", name_space},
      {"dict", dict},
      {"raise_exception", raise_exception},
      {"strftime_now", strftime_now}};
  const auto found = kFunctions.find(name);
  return found == kFunctions.end() ? nullptr : found->second;
}

}  // namespace evo::jinja
