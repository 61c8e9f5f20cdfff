// How text is chosen: --mode and --balance, which say the same thing, and sampling.
#pragma once

#include <optional>
#include <string>

#include "decode/session/session.h"
#include "model/config.h"

namespace CLI {
class App;
}

namespace evo {

/// Sets mode and balance: balance alone picks the mode, and the ends of evo's range are exact and
/// diffusion. Throws UsageError if the two contradict each other.
void choose_mode(const std::string& mode, const std::optional<double>& balance,
                 DecodeOptions& options);

/// `exact` gives the text of `ar`, so a model that can only do that does it unless told otherwise.
void suit_model(const std::string& mode, const std::optional<double>& balance,
                const ModelConfig& config, DecodeOptions& options);

/// --temperature, --top-k, --top-p and --seed.
void add_sampling_options(CLI::App& command, DecodeOptions& decode);

}  // namespace evo
