// From an autoregressive model to one that also evolves.
#pragma once

#include <string>

#include "model/model.h"
#include "train/config.h"

namespace evo {

enum class AdaptRecipe {
  kFrozen,  ///< the backbone stays bit for bit: evolving tokens get adapters of their own
  kFull     ///< everything is trained
};
[[nodiscard]] AdaptRecipe parse_recipe(const std::string& name);  ///< throws UsageError

/// Shape and settings of a run that adapts a model of shape `parent`, in 1000 steps.
[[nodiscard]] RunConfig adapt_config(const ModelConfig& parent, AdaptRecipe recipe);

/// Gives `model`, which is initialised, the parent's backbone, and its evolving tokens inputs of
/// the size of the parent's embeddings.
void adopt_backbone(const Model& parent, Model& model);

}  // namespace evo
