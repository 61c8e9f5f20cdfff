// How text is chosen: --mode and --balance, which say the same thing, and sampling.
#pragma once

#include <optional>
#include <string>

#include "decode/mode_choice.h"

namespace CLI {
class App;
}

namespace evo::cli {

/// What the options say; an empty `mode` says nothing. Throws UsageError for a mode that there is
/// not.
[[nodiscard]] decode::ModeChoice mode_choice(const std::string& mode,
                                             const std::optional<double>& balance);

/// --temperature, --top-k, --top-p and --seed.
void add_sampling_options(CLI::App& command, decode::DecodeOptions& decode);

}  // namespace evo::cli
