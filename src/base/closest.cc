#include "base/closest.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/ascii.h"

namespace evo {
namespace {

/// What is compared of a name: the dashes of options say nothing about which one was meant.
std::string bare(std::string_view text) {
  return lower_case(text.substr(std::min(text.find_first_not_of('-'), text.size())));
}

/// The one name that begins with `name`, which must be long enough to say something.
std::string only_completion(std::string_view name, const std::vector<std::string>& known) {
  constexpr size_t kShortest = 3;
  std::string found;
  if (name.size() < kShortest) return found;
  for (const std::string& candidate : known) {
    if (!bare(candidate).starts_with(name)) continue;
    if (!found.empty()) return {};
    found = candidate;
  }
  return found;
}

}  // namespace

size_t edit_distance(std::string_view a, std::string_view b) {
  // Distances of the prefixes of `b` to the prefix of `a` that ends here, one and two before it.
  std::vector<size_t> row(b.size() + 1), last(b.size() + 1), before_last(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replaced, row[j - 1] + 1, last[j] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
  }
  return row.back();
}

std::string closest_name(std::string_view name, const std::vector<std::string>& known) {
  const std::string wanted = bare(name);
  const std::string* best = nullptr;
  size_t least = 0;
  for (const std::string& candidate : known) {
    const std::string other = bare(candidate);
    const size_t distance = edit_distance(wanted, other);
    const size_t longer = std::max(wanted.size(), other.size());
    const bool near = distance == 0 || (distance < longer && 3 * distance <= longer + 1);
    if (!near || (best != nullptr && distance >= least)) continue;
    best = &candidate;
    least = distance;
  }
  return best != nullptr ? *best : only_completion(wanted, known);
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& known) {
  const std::string closest = closest_name(name, known);
  return closest.empty() ? "" : fmt::format("; did you mean '{}'?", closest);
}

}  // namespace evo
