// JSON as values of templates.
#pragma once

#include <nlohmann/json.hpp>

#include "template/value.h"

namespace evo::jinja {

/// Throws Error for what is nested too deep.
[[nodiscard]] Value from_json(const nlohmann::ordered_json& json);

}  // namespace evo::jinja
