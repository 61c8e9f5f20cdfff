#include "grammar/schema/json_rules.h"

#include <utility>

#include "grammar/schema/json_texts.h"

namespace evo::grammar {
namespace {

constexpr uint32_t kMostSpaces = 64, kMostTabs = 16;
constexpr uint32_t kMostDigits = 18;  // 10^18 fits 64 bits
constexpr uint32_t kMostExponentDigits = 2;

ByteSet digits() {
  return byte_range('0', '9');
}

RuleId gap_rule(ProgramBuilder& builder) {
  const auto some = [&](const char* byte, uint32_t most) {
    return builder.repeat(builder.rule(builder.literal(byte, kReturn)), 0, most, kReturn);
  };
  const Position indent = builder.split({some(" ", kMostSpaces), some("\t", kMostTabs)});
  return builder.rule(
      builder.split({kReturn, builder.literal(" ", kReturn), builder.literal("\n", indent)}));
}

/// Characters of two bytes and more: the rows of table 3-7 of the Unicode standard.
RuleId wide_rule(ProgramBuilder& builder) {
  const ByteSet any = byte_range(0x80, 0xBF);
  const auto two = [&](uint8_t first, uint8_t last, const ByteSet& second, Position rest) {
    return builder.bytes(byte_range(first, last), builder.bytes(second, rest));
  };
  const Position one = builder.bytes(any, kReturn), both = builder.bytes(any, one);
  return builder.rule(builder.split({
      builder.bytes(byte_range(0xC2, 0xDF), one),
      two(0xE0, 0xE0, byte_range(0xA0, 0xBF), one),
      two(0xE1, 0xEC, any, one),
      two(0xED, 0xED, byte_range(0x80, 0x9F), one),  // no surrogates
      two(0xEE, 0xEF, any, one),
      two(0xF0, 0xF0, byte_range(0x90, 0xBF), both),
      two(0xF1, 0xF3, any, both),
      two(0xF4, 0xF4, byte_range(0x80, 0x8F), both),
  }));
}

/// What follows a backslash. The two escapes of a pair of surrogates are one character.
RuleId escape_rule(ProgramBuilder& builder) {
  const ByteSet hex = digits() | bytes_of("abcdefABCDEF"), d = bytes_of("dD");
  const auto hex_after = [&](const ByteSet& set, Position next) {
    return builder.bytes(set, builder.bytes(hex, builder.bytes(hex, next)));
  };
  const Position no_d = builder.bytes(hex & ~d, hex_after(hex, kReturn));
  const Position low =
      builder.literal("\\u", builder.bytes(d, hex_after(bytes_of("cdefCDEF"), kReturn)));
  const Position with_d = builder.bytes(d, builder.split({hex_after(byte_range('0', '7'), kReturn),
                                                          hex_after(bytes_of("89abAB"), low)}));
  return builder.rule(builder.split({builder.bytes(bytes_of("\"\\/bfnrt"), kReturn),
                                     builder.literal("u", builder.split({no_d, with_d}))}));
}

/// -? int frac? exp?
RuleId number_rule(ProgramBuilder& builder) {
  const RuleId digit = builder.rule(builder.bytes(digits(), kReturn));
  const Position exponent = builder.bytes(
      bytes_of("eE"),
      builder.call(builder.rule(builder.split({builder.bytes(bytes_of("+-"), kReturn), kReturn})),
                   builder.repeat(digit, 1, kMostExponentDigits, kReturn)));
  const Position behind = builder.split({kReturn, exponent});
  const Position fraction = builder.literal(".", builder.repeat(digit, 1, kMostDigits, behind));
  const Position rest = builder.split({behind, fraction});
  const Position whole = builder.split(
      {builder.literal("0", rest),
       builder.bytes(byte_range('1', '9'), builder.repeat(digit, 0, kMostDigits - 1, rest))});
  return builder.rule(builder.split({builder.literal("-", whole), whole}));
}

}  // namespace

Program whole_text(ProgramBuilder builder, RuleId value) {
  const Position begin = builder.call(value, kReturn);
  const RuleId root = builder.rule(builder.split({begin, builder.literal(" ", begin)}));
  return std::move(builder).build(root);
}

ByteSet plain_characters() {
  return byte_range(0x20, 0x7F) & ~bytes_of("\"\\");
}

JsonRules::JsonRules(ProgramBuilder& builder)
    : space(builder.rule(builder.split({builder.literal(" ", kReturn), kReturn}))),
      gap(gap_rule(builder)),
      wide(wide_rule(builder)),
      character(builder.rule(
          builder.split({builder.bytes(plain_characters(), kReturn), builder.call(wide, kReturn),
                         builder.literal("\\", builder.call(escape_rule(builder), kReturn))}))),
      string(builder.rule(string_of(builder, *this, 0, kUnbounded))),
      number(number_rule(builder)),
      integer(builder.rule(integer_between(builder, -kMostInteger, kMostInteger))),
      object(builder.declare()),
      array(builder.declare()),
      value(builder.declare()) {
  const RuleId member = builder.rule(other_member(builder, *this, {}, value));
  builder.define(object, object_of(builder, *this, {}, member));
  builder.define(array, array_of(builder, *this, {.rest = value}));
  builder.define(value,
                 builder.split({builder.call(object, kReturn), builder.call(array, kReturn),
                                builder.call(string, kReturn), builder.call(number, kReturn),
                                builder.literal("true", kReturn), builder.literal("false", kReturn),
                                builder.literal("null", kReturn)}));
}

}  // namespace evo::grammar
