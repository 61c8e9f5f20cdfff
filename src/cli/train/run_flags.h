// Options of a training run, which `train` and `adapt` share.
#pragma once

#include <string>

#include "api/run_settings.h"
#include "api/train_run.h"

namespace CLI {
class App;
}

namespace evo::cli {

struct RunFlags {
  TrainRequest request;
  RunSettings settings;
  std::string precision = "auto";
  int threads = 0;
  bool json = false;
};

void add_run_options(CLI::App& command, RunFlags& flags);

}  // namespace evo::cli
