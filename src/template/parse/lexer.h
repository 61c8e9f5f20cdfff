// Cuts the source of a Jinja template into text and the tokens of its tags.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace evo::jinja {

struct Token {
  enum class Type {
    kText,         ///< outside of tags, white space removed as the tags around it say
    kOutputBegin,  ///< {{
    kOutputEnd,    ///< }}
    kBlockBegin,   ///< {%
    kBlockEnd,     ///< %}
    kName,
    kInteger,
    kFloat,
    kString,  ///< `text` is its value, without quotes and escapes
    kOperator,
    kEnd  ///< of the source
  };
  Type type = Type::kEnd;
  std::string text;
  size_t offset = 0;  ///< in the source
};

/// The source as Jinja reads it: "\n" ends lines, and one at the very end is dropped.
[[nodiscard]] std::string normalize_source(std::string_view source);

/// The tokens of a normalized source, the last one of type kEnd. `trim_blocks` and `lstrip_blocks`
/// are on, as for chat templates everywhere: a line that holds nothing but a block tag or a comment
/// leaves nothing behind. Throws Fault.
[[nodiscard]] std::vector<Token> tokenize(std::string_view source);

/// A token as messages show it.
[[nodiscard]] std::string shown(const Token& token);

}  // namespace evo::jinja
