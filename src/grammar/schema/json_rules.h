// Rules of JSON texts; what part of RFC 8259 they are is said in grammar.h.
#pragma once

#include "grammar/program_builder.h"

namespace evo::grammar {

/// The rules that JSON values have in common.
struct JsonRules {
  explicit JsonRules(ProgramBuilder& builder);

  RuleId space;      ///< one, or none: behind a colon
  RuleId gap;        ///< white space between parts of a container; may be empty
  RuleId wide;       ///< a character of a string that is not ASCII
  RuleId character;  ///< any character of a string, perhaps as an escape
  RuleId string, number, integer;
  RuleId object, array;  ///< of any values
  RuleId value;          ///< any
};

/// A program whose texts are those of `value`, perhaps behind a space.
[[nodiscard]] Program whole_text(ProgramBuilder builder, RuleId value);

/// Characters of a string that are one byte and no escape.
[[nodiscard]] ByteSet plain_characters();

}  // namespace evo::grammar
