// A training run that begins with another model.
#pragma once

#include <string>

#include "api/run_settings.h"
#include "api/train_run.h"
#include "train/adapt.h"

namespace evo {

/// Gives the request the parent's shape, weights and tokenizer, and the settings of the recipe,
/// changed by `settings`. Throws Error if the recipe is not for such a parent.
void begin_from_parent(TrainRequest& request, const std::string& parent, train::AdaptRecipe recipe,
                       const RunSettings& settings);

}  // namespace evo
