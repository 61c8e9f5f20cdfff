// References inside a schema.
#pragma once

#include "grammar/schema/schema_node.h"

namespace evo::grammar {

/// What the "$ref" of `node` says, which is a JSON pointer as the fragment of a URI, in `root`.
/// Error if that is nowhere, or in another document.
[[nodiscard]] const Json& resolve_reference(const SchemaNode& node, const Json& root);

}  // namespace evo::grammar
