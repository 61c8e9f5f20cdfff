// Fields of other servers' APIs that would change a text, and that are not honoured here.
#pragma once

#include "serve/api/fields.h"
#include "serve/api/request.h"

namespace evo::serve {

/// Throws RequestError (400) that names such a field, unless its value changes nothing: a reply
/// must not look as if the client had got what it asked for.
void refuse_unsupported(Fields& fields, Endpoint endpoint);

}  // namespace evo::serve
