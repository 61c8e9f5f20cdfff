// A backbone's settings on their way into a GGUF file.
#pragma once

#include <string>

#include "model/config.h"

namespace evo::decode {

/// What a config.json says of it, with all that its own left to its family. `name`: of the model,
/// for messages. Throws Error for what no GGUF file says.
[[nodiscard]] json::Record whole_config(const model::ModelConfig& shape, const std::string& name);

/// Throws Error naming a setting in which `saved`, what a GGUF file says, is another network than
/// `meant`: many settings follow from the architecture's name there, and cannot be others.
void require_same_network(const model::ModelConfig& meant, const model::ModelConfig& saved,
                          const std::string& name);

}  // namespace evo::decode
