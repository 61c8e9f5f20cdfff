#include "train/adapt.h"

#include <algorithm>
#include <cmath>

namespace evo::train {
namespace {

double deviation(std::span<const float> values) {
  double sum = 0;
  for (float value : values) sum += static_cast<double>(value) * value;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

}  // namespace

AdaptRecipe parse_recipe(const std::string& name) {
  if (name == "frozen") return AdaptRecipe::kFrozen;
  if (name == "full") return AdaptRecipe::kFull;
  if (name == "drafts") return AdaptRecipe::kDrafts;
  throw UsageError(fmt::format("--recipe '{}': expected frozen, full or drafts", name));
}

const char* recipe_name(AdaptRecipe recipe) {
  switch (recipe) {
    case AdaptRecipe::kFrozen:
      return "frozen";
    case AdaptRecipe::kFull:
      return "full";
    case AdaptRecipe::kDrafts:
      return "drafts";
  }
  check_failed("a recipe", __FILE__, __LINE__);
}

RunConfig adapt_config(const model::ModelConfig& parent, AdaptRecipe recipe) {
  constexpr int64_t kSteps = 1000, kLength = 256, kRank = 32, kLargestInner = 1024;
  RunConfig config;
  static_cast<model::ModelConfig&>(config) = parent;
  config.flow = true;
  if (!parent.flow) config.inner_size = std::min(parent.hidden_size, kLargestInner);
  if (parent.ahead_size == 0) config.ahead_size = good_ahead_size(parent.hidden_size);
  config.steps = kSteps;
  config.batch_size = 8;
  config.sequence_length = std::min(kLength, parent.max_position_embeddings - 1);
  config.average_decay = 0.99;
  if (recipe == AdaptRecipe::kDrafts) {
    config.freeze_flow = true;
    config.learning_rate = 2e-3;
    config.flow_weight = config.infill_share = config.self_conditioning = 0;
    config.inner_weight = 1;
    return config;
  }
  // Principal components of the embeddings are codes that need no training.
  config.code_gradient = "pca";
  if (recipe == AdaptRecipe::kFrozen) {
    config.freeze_backbone = true;
    config.adapter_rank = kRank;
    config.learning_rate = 2e-3;
    config.flow_weight = config.inner_weight = 1;
    config.infill_share = 0;  // the frozen stream could not learn it
  } else {
    config.learning_rate = 3e-4;
  }
  return config;
}

void adopt_parent(const model::Model& parent, model::Model& model) {
  const model::ParameterStore& from = parent.parameters();
  const model::ParameterStore& to = model.parameters();
  for (const model::Parameter& p : from.list()) {
    const model::Parameter& own = to.find(p.name);
    EVO_CHECK(own.shape == p.shape);
    std::ranges::copy(from.values_of(p), to.values_of(own).begin());
  }
  if (parent.config().flow) {
    model.set_time(parent.time());
    model.set_unigram({parent.unigram().begin(), parent.unigram().end()});
    return;
  }
  // z, the previous x and phi's waves have unit variance or less, in 2 d + K inputs.
  const std::span<float> input = to.values_of(to.find("evo.evolve_in.weight"));
  const auto inputs =
      static_cast<double>(model.config().code_size + model.config().time_features / 2);
  const double wanted = deviation(parent.embedding().values()) / std::sqrt(inputs);
  const auto factor = static_cast<float>(wanted / deviation(input));
  for (float& value : input) value *= factor;
}

}  // namespace evo::train
