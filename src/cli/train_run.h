// A training run as the command line gives it, from text files to a model folder.
#pragma once

#include <string>
#include <vector>

#include "train/trainer.h"

namespace evo {

struct TrainRequest {
  RunConfig config;
  std::vector<std::string> data;
  std::string out;
  std::string tokenizer;  ///< tokenizer.json to use; empty: train one on the data
  std::string sample_prompt = "Once upon a time";
  bool resume = false, quiet = false;
  Precision precision = Precision::kF32;
};

/// Trains and leaves model, tokenizer, generation_config.json, run.json, metrics and pictures in
/// `out`.
TrainSummary run_training(TrainRequest request);

}  // namespace evo
