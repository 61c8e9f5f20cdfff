// --mode and --balance, which say the same thing.
#pragma once

#include <optional>
#include <string>

#include "decode/session.h"
#include "model/config.h"

namespace evo {

/// Sets mode and balance: balance alone picks the mode, and the ends of evo's range are exact and
/// diffusion. Throws UsageError if the two contradict each other.
void choose_mode(const std::string& mode, const std::optional<double>& balance,
                 DecodeOptions& options);

/// `exact` gives the text of `ar`, so a model that can only do that does it unless told otherwise.
void suit_model(const std::string& mode, const std::optional<double>& balance,
                const ModelConfig& config, DecodeOptions& options);

}  // namespace evo
