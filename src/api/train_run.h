// A training run from text files to a model folder.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "train/trainer/trainer.h"

namespace evo {

struct TrainRequest {
  train::RunConfig config;
  std::vector<std::string> data;    ///< files with text, or folders of shards (train_shards.h)
  std::string text_field = "text";  ///< of data in JSON lines
  std::string out;
  std::string tokenizer;  ///< file or folder to use; empty: train one on the data
  /// Folder of the model that is trained further, whose other files the new one keeps; empty: none.
  std::string parent;
  std::string sample_prompt = "Once upon a time";
  /// Weights to begin with, whose vocabulary then is `config`'s; empty: random ones.
  std::function<void(model::Model& model)> initialize;
  std::function<bool()> stop = interrupted;  ///< see TrainOptions; asked before training as well
  std::function<void(const train::StepReport& report)> on_step;  ///< see TrainOptions
  /// Called on the first rank when the model is there, with what it was trained on, while the
  /// folder is still locked; of a run with `minutes`, `report_seconds` are left for it.
  std::function<void(const train::TrainSummary& summary, const data::TokenFile& tokens)> report;
  double report_seconds = 0;
  bool resume = false, quiet = false;
  bool skip_bad_shards = false;
  double memory = 0;  ///< bytes to stay below; 0: what can be had
  tensor::Precision precision = tensor::Precision::kF32;
  comm::Communicator* ranks = nullptr;  ///< who train together, see TrainOptions
  double rank_timeout = 120;  ///< seconds to wait for a rank once training has begun; 0: for ever
};

/// Trains and leaves model, tokenizer, generation_config.json (a parent's, or what a resumed run
/// had, goes on to count), run.json (the settings as asked for), data.json (if the data are
/// shards), metrics and pictures in `out`. A stop ends the training cleanly. A run that cannot
/// start leaves `out` free for the next attempt. Of several ranks the first prepares and writes all
/// of this, while the others wait.
train::TrainSummary run_training(const TrainRequest& request);

/// The tokens that a run trained on, opened again.
[[nodiscard]] data::TokenFile run_tokens(const TrainRequest& request);

}  // namespace evo
