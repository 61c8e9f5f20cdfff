// From the source of a Jinja template to its syntax tree.
#pragma once

#include <string_view>

#include "template/parse/syntax.h"

namespace evo::jinja {

/// The name under which a block that is set passes through its filters.
inline constexpr const char* kBlockText = "(block)";

/// `source` as normalize_source() gives it. Throws Fault. How deep statements and expressions may
/// nest is bounded, so that whoever walks over the tree may recurse.
[[nodiscard]] Block parse(std::string_view source);

}  // namespace evo::jinja
