// From an autoregressive model to one that also evolves, and from that to one that drafts better.
#pragma once

#include <string>

#include "model/model.h"
#include "train/config.h"

namespace evo::train {

enum class AdaptRecipe {
  kFrozen,  ///< the backbone stays bit for bit: evolving tokens get adapters of their own
  kFull,    ///< everything is trained
  kDrafts   ///< of an Evo model: what it drafts with; all its distributions stay bit for bit
};
[[nodiscard]] AdaptRecipe parse_recipe(const std::string& name);  ///< throws UsageError
[[nodiscard]] const char* recipe_name(AdaptRecipe recipe);

/// Shape and settings of a run that adapts a model of shape `parent`, in 1000 steps.
[[nodiscard]] RunConfig adapt_config(const model::ModelConfig& parent, AdaptRecipe recipe);

/// Gives `model`, which is initialised, all that the parent has. If that is no more than a
/// backbone, evolving tokens get inputs of the size of the parent's embeddings.
void adopt_parent(const model::Model& parent, model::Model& model);

}  // namespace evo::train
