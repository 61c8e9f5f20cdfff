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
#include "io/checkpoint.h"
#include "io/loader.h"
#include "train/config.h"
#include "train/loss.h"
#include "train/metrics.h"

namespace evo {

struct TrainOptions {
  std::string out;  ///< model folder; also metrics.jsonl, loss.svg, checkpoints/
  bool resume = false;
  bool quiet = false;
  Precision precision = Precision::kF32;
  double peak_gflops = 0;  ///< speed of large matrix products, which progress is set against; 0:
                           ///< measure it, which takes half a second
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
  void estimate_time();
  [[nodiscard]] double progress() const;  ///< of the schedule, 0 .. 1
  [[nodiscard]] double learning_rate() const;
  [[nodiscard]] bool finished() const;
  [[nodiscard]] double elapsed() const;

  bool healthy(const StepResult& result);
  void recover(const StepResult& result);

  LossReport validate() const;
  void log(const StepResult& result, bool stopped, Progress& progress);
  [[nodiscard]] int64_t tokens_per_step() const;
  void start_rate();    ///< of tokens per second, which validation does not count into
  void measure_rate();  ///< since start_rate()
  [[nodiscard]] Record metrics_line(const StepResult& result) const;
  void save_checkpoint();
  void restore(const Checkpoint& checkpoint);
  void save_model();
  [[nodiscard]] const Model& averaged() const;

  RunConfig config_;
  TrainOptions options_;
  Model model_;
  Model average_;  // the exponential average of model_'s weights; what is saved and sampled
  Tensor first_moment_, second_moment_;
  SequenceLoader training_, validation_;
  CheckpointFolder checkpoints_;
  std::optional<MetricsLog> metrics_;

  int64_t step_ = 0;           // optimizer steps taken
  int64_t next_sequence_ = 0;  // index of the loader's next sequence
  double earlier_seconds_ = 0;
  Clock::time_point start_;
  // Recovery: a running mean of the loss and its spread, and whether the one roll-back was used.
  double loss_mean_ = 0, loss_deviation_ = 0;
  int64_t spikes_ = 0, recoveries_ = 0;
  LossMean since_line_;  // the losses since the last line of metrics
  Clock::time_point rate_start_;
  int64_t rate_start_step_ = 0;
  double peak_gflops_ = 0;
  TrainSummary summary_;
};

}  // namespace evo
