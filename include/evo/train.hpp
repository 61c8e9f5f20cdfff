// From text files to a model folder.
#pragma once

#include <cstdint>
#include <evo/error.hpp>
#include <evo/model.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace evo::api {

/// What every training run has.
struct RunOptions {
  std::vector<std::string> data = {};  ///< files or folders with text, or FOLDER[=WEIGHT] of shards
  std::string text_field = "text";     ///< where lines of JSON have their texts
  std::filesystem::path out = {};      ///< folder for the model, its metrics and checkpoints
  bool resume = false;                 ///< continue the run in `out`, bit for bit
  std::optional<int64_t> steps = {};   ///< of the optimizer
  std::optional<double> minutes = {};  ///< at most; without `steps`: so long
  std::optional<int64_t> seed = {};
  std::vector<std::string> settings = {};  ///< "name=value", those that `evo train --help` lists
  Precision precision = Precision::kAuto;  ///< of matrix products; not kInt8
  int threads = 0;                         ///< see OpenOptions
  double memory = 0;                       ///< bytes to stay below; 0: what can be had
  bool skip_bad_shards = false;
};

struct TrainOptions : RunOptions {
  std::string preset = {};               ///< shape of the model: demo, 7m, 15m, 30m, 110m ...
  std::filesystem::path tokenizer = {};  ///< a file or a model folder; empty: learnt from the data
};

enum class Recipe {
  kFrozen,  ///< the parent's output stays bit for bit; only what evolving tokens use is trained
  kFull,    ///< everything is trained
  kDrafts   ///< the parent is an Evo model, and only what drafts is trained
};

struct AdaptOptions : RunOptions {
  std::filesystem::path parent = {};  ///< model folder: Hugging Face's or evo's
  Recipe recipe = Recipe::kFrozen;
};

struct TrainProgress {
  int64_t step = 0;
  double share = 0;                           ///< of the run, 0 .. 1
  double seconds = 0, remaining_seconds = 0;  ///< of the run, earlier parts included
  double loss = 0, ar_loss = 0;               ///< of this step, nats per token
  double tokens_per_second = 0;
};

/// Called after every step. What it throws ends the run in order and then comes out of train().
using OnProgress = std::function<void(const TrainProgress& progress)>;

struct TrainResult {
  int64_t step = 0, tokens = 0;
  double seconds = 0;
  bool interrupted = false;                            ///< `resume` goes on
  double loss = 0, ar_loss = 0, held_out_ar_loss = 0;  ///< NaN if there is none
  double tokens_per_second = 0;
};

/// Leaves a model folder in `out`. A stop saves the run as it is; before the first step it throws
/// Interrupted.
EVO_API TrainResult train(const TrainOptions& options, const OnProgress& on_progress = {},
                          const std::stop_token& stop = {});

/// Teaches a model of other programs to evolve tokens, or an Evo model to draft better.
EVO_API TrainResult adapt(const AdaptOptions& options, const OnProgress& on_progress = {},
                          const std::stop_token& stop = {});

}  // namespace evo::api
