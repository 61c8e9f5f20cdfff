// Descriptions of JSON texts of a given form: strings, integers, objects, arrays. Each is a rule's
// content: it returns at its end.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/schema/json_rules.h"

namespace evo::grammar {

/// A string of `low` to `high` characters.
[[nodiscard]] Position string_of(ProgramBuilder& builder, const JsonRules& json, uint32_t low,
                                 uint32_t high);

/// The largest integer that is written.
inline constexpr int64_t kMostInteger = 999'999'999'999'999'999;

/// -kMostInteger <= low <= high <= kMostInteger.
[[nodiscard]] Position integer_between(ProgramBuilder& builder, int64_t low, int64_t high);

/// "name": value. `name` is JSON text, with its quotes.
[[nodiscard]] Position member_of(ProgramBuilder& builder, const JsonRules& json,
                                 std::string_view name, RuleId value);
/// The same with any name but `names`, which are sorted and different, and not JSON text.
[[nodiscard]] Position other_member(ProgramBuilder& builder, const JsonRules& json,
                                    std::span<const std::string> names, RuleId value);

struct Member {
  RuleId rule = 0;
  bool required = false;
};
/// The members in their order, then any number of `more`.
[[nodiscard]] Position object_of(ProgramBuilder& builder, const JsonRules& json,
                                 std::span<const Member> members, std::optional<RuleId> more);

struct ArrayItems {
  std::vector<RuleId> first{};  ///< of the first items, one each
  RuleId rest = 0;              ///< of the others
  uint32_t low = 0, high = kUnbounded;
};
[[nodiscard]] Position array_of(ProgramBuilder& builder, const JsonRules& json, ArrayItems items);

}  // namespace evo::grammar
