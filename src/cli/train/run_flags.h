// Options of a training run, which `train` and `adapt` share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/train/train_run.h"

namespace CLI {
class App;
}

namespace evo {

struct RunFlags {
  TrainRequest request;
  std::vector<std::string> set;
  std::string precision = "auto";
  std::optional<int64_t> steps, seed;
  std::optional<double> minutes;
  int threads = 0;
  bool json = false;

  /// Changes the settings that options name. --minutes without --steps has no end in steps.
  void apply(RunConfig& config) const;
};

void add_run_options(CLI::App& command, RunFlags& flags);

}  // namespace evo
