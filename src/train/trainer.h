// The training loop: optimizer steps, validation, checkpoints, recovery.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/interrupt.h"
#include "base/progress.h"
#include "io/loader.h"
#include "train/checkpointing.h"
#include "train/config.h"
#include "train/loss.h"
#include "train/metrics.h"

namespace evo {

struct TrainOptions {
  std::string out;  ///< model folder; also metrics.jsonl, loss.svg, checkpoints/
  bool resume = false;
  bool quiet = false;
  Precision precision = Precision::kF32;
  int32_t end_of_text = -1;  ///< what ends a text and a filled-in middle; -1: no infilling
  double peak_gflops = 0;    ///< speed of large matrix products, which progress is set against;
                             ///< 0: measure it, which takes half a second
  /// Called with the model of a new run, which has random weights: gives it others.
  std::function<void(Model& model)> initialize;
  /// Asked after every step; true ends the run as an interrupt does.
  std::function<bool()> stop = interrupted;
  /// Called with the averaged model every sample_every steps before the last one.
  std::function<void(const Model& model, int64_t step)> on_sample;
};

struct TrainSummary {
  int64_t step = 0, tokens = 0;
  double seconds = 0;
  bool interrupted = false;
  LossReport last, validation;  ///< last: of the last line of metrics; NaN if no step was left
  double tokens_per_second = 0, gemm_peak_fraction = 0;
  size_t peak_bytes = 0;  ///< largest memory in tensors
};

/// One run in one folder. Its course is a pure function of configuration, data, threads and
/// machine; a resumed run continues bit for bit (unless `minutes` ties its schedule to the clock).
class Trainer {
 public:
  /// `tokens` must outlive the trainer. The folder must be locked by the caller.
  Trainer(const RunConfig& config, const TokenFile& tokens, TrainOptions options);

  /// Trains until the end of the schedule or an interrupt; leaves a checkpoint and a model either
  /// way.
  TrainSummary run();

 private:
  using Clock = std::chrono::steady_clock;
  struct StepResult {
    LossReport loss;
    double gradient_norm = 0;
    double learning_rate = 0;
  };

  StepResult step();
  TrainingBatch next_batch();
  [[nodiscard]] LossWeights loss_weights() const;
  void update_weights(double learning_rate, double gradient_norm);
  [[nodiscard]] bool trains(const Parameter& parameter) const;
  void estimate_time();
  [[nodiscard]] double progress() const;  ///< of the schedule, 0 .. 1
  [[nodiscard]] bool finished() const;
  [[nodiscard]] double elapsed() const;

  bool healthy(const StepResult& result);
  void recover(const StepResult& result);

  [[nodiscard]] LossReport validate() const;
  void log(const StepResult& result, bool stopped, Progress& progress);
  [[nodiscard]] int64_t tokens_per_step() const;
  void start_rate();    ///< of tokens per second, which validation does not count into
  void measure_rate();  ///< since start_rate()
  [[nodiscard]] Record metrics_line(const StepResult& result) const;
  void save_checkpoint();
  void restore(const Checkpoint& checkpoint);
  [[nodiscard]] const Model& averaged() const;

  RunConfig config_;
  TrainOptions options_;
  TrainedArrays arrays_;
  SequenceLoader training_, validation_;
  CheckpointFolder checkpoints_;
  std::optional<MetricsLog> metrics_;

  RunState state_;  // its seconds are those until start_
  Clock::time_point start_;
  Clock::time_point rate_start_;
  int64_t rate_start_step_ = 0;
  double peak_gflops_ = 0;
  TrainSummary summary_;
};

}  // namespace evo
