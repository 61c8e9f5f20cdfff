// What callers of a training run change of the settings of its preset or recipe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "train/config.h"

namespace evo {

struct RunSettings {
  std::vector<std::string> set;  ///< "name=value"
  std::optional<int64_t> steps, seed;
  std::optional<double> minutes;

  /// `minutes` without `steps` has no end in steps. Throws Error for names and values that there
  /// are not.
  void apply(train::RunConfig& config) const;
};

}  // namespace evo
