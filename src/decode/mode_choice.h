// Mode and balance say the same thing: either alone chooses, both together must agree.
#pragma once

#include <optional>

#include "decode/session/session.h"
#include "model/config.h"

namespace evo::decode {

struct ModeChoice {
  std::optional<Mode> mode;
  std::optional<double> balance;  ///< the ends of evo's range are exact and diffusion

  /// Sets mode and balance of `options`. Throws UsageError if the two contradict each other.
  void apply(DecodeOptions& options) const;
  /// `exact` gives the text of `ar`, so a model that can only do that does it unless told
  /// otherwise.
  void suit(const model::ModelConfig& config, DecodeOptions& options) const;
};

}  // namespace evo::decode
