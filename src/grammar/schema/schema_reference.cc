#include "grammar/schema/schema_reference.h"

#include <charconv>
#include <string>
#include <string_view>

namespace evo::grammar {
namespace {

/// Without the percent signs that URIs write some characters with. What is no such writing stays.
std::string unquoted(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    unsigned byte = 0;
    const char* begin = text.data() + 1;
    const bool quoted = text[0] == '%' && text.size() >= 3 &&
                        std::from_chars(begin, begin + 2, byte, 16).ptr == begin + 2;
    result += quoted ? static_cast<char>(byte) : text[0];
    text.remove_prefix(quoted ? 3 : 1);
  }
  return result;
}

}  // namespace

const Json& resolve_reference(const SchemaNode& node, const Json& root) {
  const Json& reference = *node.find("$ref");
  if (!reference.is_string() || !reference.get_ref<const std::string&>().starts_with("#")) {
    node.refuse("'$ref' must be a place in this schema, as \"#/$defs/name\", found {}",
                shown(reference));
  }
  const std::string pointer = unquoted(reference.get<std::string>().substr(1));
  try {
    return root.at(Json::json_pointer(pointer));
  } catch (const Json::exception&) {
    node.refuse("'$ref' is {}, but the schema has nothing there", shown(reference));
  }
}

}  // namespace evo::grammar
