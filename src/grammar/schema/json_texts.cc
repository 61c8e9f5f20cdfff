#include "grammar/schema/json_texts.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "text/utf8.h"

namespace evo::grammar {
namespace {

constexpr bool kNests = true;

/// Numbers of as many digits as `low` and `high` have, from one to the other.
Position digits_between(ProgramBuilder& builder, RuleId digit, std::string_view low,
                        std::string_view high) {
  const auto count = static_cast<uint32_t>(low.size());
  const bool any =
      low.find_first_not_of('0') == low.npos && high.find_first_not_of('9') == high.npos;
  if (any) return builder.repeat(digit, count, count, kReturn);
  const std::string_view low_rest = low.substr(1), high_rest = high.substr(1);
  if (low[0] == high[0]) {
    return builder.literal(low.substr(0, 1), digits_between(builder, digit, low_rest, high_rest));
  }
  const std::string zeros(count - 1, '0'), nines(count - 1, '9');
  std::vector<Position> branches = {
      builder.literal(low.substr(0, 1), digits_between(builder, digit, low_rest, nines)),
      builder.literal(high.substr(0, 1), digits_between(builder, digit, zeros, high_rest))};
  if (low[0] + 1 < high[0]) {
    branches.push_back(builder.bytes(
        byte_range(static_cast<uint8_t>(low[0] + 1), static_cast<uint8_t>(high[0] - 1)),
        digits_between(builder, digit, zeros, nines)));
  }
  return builder.split(branches);
}

/// 0 <= low <= high: for every number of digits those between its least and its greatest number.
Position natural_between(ProgramBuilder& builder, int64_t low, int64_t high) {
  const RuleId digit = builder.rule(builder.bytes(byte_range('0', '9'), kReturn));
  std::vector<Position> branches;
  int64_t most = 0;
  for (int64_t least = 0; least <= high; least = most + 1) {
    most = least == 0 ? 9 : least * 10 - 1;
    if (most < low) continue;
    branches.push_back(digits_between(builder, digit, std::to_string(std::max(least, low)),
                                      std::to_string(std::min(most, high))));
  }
  return builder.split(branches);
}

}  // namespace

Position string_of(ProgramBuilder& builder, const JsonRules& json, uint32_t low, uint32_t high) {
  return builder.literal("\"",
                         builder.repeat(json.character, low, high, builder.literal("\"", kReturn)));
}

Position integer_between(ProgramBuilder& builder, int64_t low, int64_t high) {
  EVO_CHECK(-kMostInteger <= low && low <= high && high <= kMostInteger);
  std::vector<Position> branches;
  if (high >= 0) branches.push_back(natural_between(builder, std::max<int64_t>(low, 0), high));
  if (low < 0) {
    const Position magnitude = natural_between(builder, std::max<int64_t>(-high, 1), -low);
    branches.push_back(builder.literal("-", magnitude));
  }
  return builder.split(branches);
}

namespace {

Position member_value(ProgramBuilder& builder, const JsonRules& json, RuleId value) {
  return builder.literal(":", builder.call(json.space, builder.call(value, kReturn, kNests)));
}

/// Names that are none of some: a tree of those, which is left at the first character that differs.
/// Inside it there are no escapes, which could spell any name, and no characters that are not ASCII
/// where one of the names has one.
class OtherName {
 public:
  OtherName(ProgramBuilder& builder, const JsonRules& json, Position next)
      : builder_(builder),
        json_(json),
        end_(builder.literal("\"", next)),
        other_(builder.repeat(json.character, 0, kUnbounded, end_)) {}

  /// What is left of a name that so far is the first `offset` bytes of all `names`.
  Position after(std::span<const std::string> names, size_t offset) {
    if (names.empty()) return other_;
    std::vector<Position> branches;
    if (names[0].size() > offset) {
      branches.push_back(end_);
    } else {
      names = names.subspan(1);
    }
    ByteSet parting = plain_characters();
    bool parts_wide = true;
    while (!names.empty()) {
      const auto byte = static_cast<uint8_t>(names[0][offset]);
      const auto group = names.first(same_byte(names, offset));
      names = names.subspan(group.size());
      parts_wide = parts_wide && byte < 0x80;
      if (!parting[byte]) continue;
      parting.reset(byte);
      branches.push_back(builder_.literal(group[0].substr(offset, 1), after(group, offset + 1)));
    }
    branches.push_back(builder_.bytes(parting, other_));
    if (parts_wide) branches.push_back(builder_.call(json_.wide, other_));
    return builder_.split(branches);
  }

 private:
  ProgramBuilder& builder_;
  const JsonRules& json_;
  Position end_, other_;
};

}  // namespace

Position member_of(ProgramBuilder& builder, const JsonRules& json, std::string_view name,
                   RuleId value) {
  return builder.literal(name, member_value(builder, json, value));
}

Position other_member(ProgramBuilder& builder, const JsonRules& json,
                      std::span<const std::string> names, RuleId value) {
  const Position rest = member_value(builder, json, value);
  return builder.literal("\"", OtherName(builder, json, rest).after(names, 0));
}

Position object_of(ProgramBuilder& builder, const JsonRules& json, std::span<const Member> members,
                   std::optional<RuleId> more) {
  // From the last member to the first: what follows where a member was written, and where none was.
  const Position closed = builder.literal("}", kReturn);
  const auto behind_comma = [&](Position position) {
    return builder.literal(",", builder.call(json.gap, position));
  };
  Position written = builder.call(json.gap, closed);
  Position none = closed;
  if (more) {
    const RuleId another = builder.rule(behind_comma(builder.call(*more, kReturn)));
    written = builder.repeat(another, 0, kUnbounded, written);
    none = builder.split({builder.call(*more, written), none});
  }
  for (auto member = members.rbegin(); member != members.rend(); ++member) {
    const Position first = builder.call(member->rule, written);
    const Position another = behind_comma(first);
    written = member->required ? another : builder.split({another, written});
    none = member->required ? first : builder.split({first, none});
  }
  return builder.literal("{", builder.call(json.gap, none));
}

Position array_of(ProgramBuilder& builder, const JsonRules& json, ArrayItems items) {
  if (items.first.empty()) items.first.push_back(items.rest);
  if (items.first.size() > items.high) items.first.resize(items.high);
  const auto count = static_cast<uint32_t>(items.first.size());
  const auto behind_comma = [&](RuleId item, Position next) {
    return builder.literal(",", builder.call(json.gap, builder.call(item, next, kNests)));
  };
  const Position closed = builder.literal("]", kReturn);
  const Position end = builder.call(json.gap, closed);
  const uint32_t most = items.high == kUnbounded ? kUnbounded : items.high - count;
  Position written = builder.repeat(builder.rule(behind_comma(items.rest, kReturn)),
                                    items.low - std::min(items.low, count), most, end);
  for (uint32_t i = count; i-- > 1;) {
    const Position another = behind_comma(items.first[i], written);
    written = i >= items.low ? builder.split({another, end}) : another;
  }
  Position none = closed;
  if (count > 0) {
    const Position first = builder.call(items.first[0], written, kNests);
    none = items.low == 0 ? builder.split({first, closed}) : first;
  }
  return builder.literal("[", builder.call(json.gap, none));
}

}  // namespace evo::grammar
