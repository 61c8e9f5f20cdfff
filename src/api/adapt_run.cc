#include "api/adapt_run.h"

#include <filesystem>

namespace evo {
namespace {

namespace fs = std::filesystem;

void check_recipe(const std::string& parent, const model::ModelConfig& shape,
                  train::AdaptRecipe recipe) {
  const bool drafts = recipe == train::AdaptRecipe::kDrafts;
  if (shape.flow && !drafts) {
    fail(
        "{}: this is an Evo model already; --recipe {} expects an autoregressive one. To go on "
        "training it, use `evo train --resume`; to make it draft better, --recipe drafts",
        parent, train::recipe_name(recipe));
  }
  if (!shape.flow && drafts) {
    fail("{}: this model has no evolving stream; --recipe drafts expects one. Use frozen or full",
         parent);
  }
}

}  // namespace

void begin_from_parent(TrainRequest& request, const std::string& parent, train::AdaptRecipe recipe,
                       const RunSettings& settings) {
  const model::ModelConfig shape = model::ModelConfig::load(parent);
  check_recipe(parent, shape, recipe);
  request.config = train::adapt_config(shape, recipe);
  settings.apply(request.config);
  request.tokenizer = request.parent = parent;
  request.initialize = [parent](model::Model& model) {
    train::adopt_parent(model::Model::load(parent), model);
  };
}

}  // namespace evo
