// What texts are allowed: JSON, or JSON as a schema describes it.
//
// The grammar writes a part of RFC 8259 that every parser reads and that comes to an end: strings
// are valid UTF-8, and their escapes \uXXXX have no surrogate without the other; numbers have at
// most 18 digits before the point, 18 behind it and 2 of the exponent; containers are at most 64
// deep. White space is at most one space after a colon, and at most one space, or a line end with
// up to 64 spaces or 16 tabs, after '{', '[' and ',' and before '}' and ']'. The text may begin
// with one space, which is how many tokenizers begin a word. (Strings and lists without an upper
// limit can still go on until there is no room.)
#pragma once

#include <memory>
#include <string_view>
#include <utility>

namespace evo::grammar {

struct Program;

/// Immutable, and cheap to copy. May be shared by threads.
class Grammar {
 public:
  /// Any JSON object.
  [[nodiscard]] static Grammar json_object();

  /// Texts that are valid under a JSON Schema. Known are
  ///  - type, one or a list; enum, const; anyOf; oneOf, taken for anyOf; allOf of one schema;
  ///  - properties, written in the order of the schema; required; additionalProperties. Without
  ///    additionalProperties no others than the properties named are written; if nothing is named,
  ///    any. True or a schema: others may follow those named;
  ///  - items, prefixItems, minItems, maxItems; minLength, maxLength, in characters;
  ///  - minimum, maximum, exclusiveMinimum, exclusiveMaximum, of integers;
  ///  - $ref within the schema, also to where it stands; $defs, definitions;
  ///  - annotations, which say nothing of what is valid: title, description, default, examples,
  ///    format ... and names that begin with "x-".
  /// Error with the JSON pointer of what is at fault for any other keyword, for limits that
  /// contradict each other, and for a schema that no text within the limits above is valid under.
  [[nodiscard]] static Grammar from_json_schema(std::string_view schema_json);

  [[nodiscard]] const Program& program() const { return *program_; }

 private:
  explicit Grammar(Program program);

  std::shared_ptr<const Program> program_;
};

}  // namespace evo::grammar
