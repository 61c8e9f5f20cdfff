// The training loop: optimizer steps, validation, checkpoints, recovery.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/process/watcher.h"
#include "comm/communicator.h"
#include "data/loader.h"
#include "train/config.h"
#include "train/loss/loss.h"
#include "train/metrics.h"
#include "train/ranks/exchange.h"
#include "train/ranks/rank_times.h"
#include "train/trainer/checkpointing.h"
#include "train/trainer/pace.h"

namespace evo::train {

/// How far a run is after a step.
struct StepReport {
  int64_t step = 0;
  double share = 0;                           ///< of the schedule, 0 .. 1
  double seconds = 0, remaining_seconds = 0;  ///< of the run, earlier parts included
  LossReport loss;                            ///< of this step
  double tokens_per_second = 0;               ///< since the last line of metrics or before it
};

struct TrainOptions {
  std::string out;  ///< model folder; also metrics.jsonl, loss.svg, checkpoints/
  bool resume = false;
  bool quiet = false;
  tensor::Precision precision = tensor::Precision::kF32;
  int32_t end_of_text = -1;  ///< what ends a text and a filled-in middle; -1: no infilling
  /// Speed of this rank's large matrix products, which progress is set against. To be measured
  /// before there is a trainer: it takes memory that a small model does not.
  double peak_gflops = 1;
  /// Called with the model of a new run, which has random weights: gives it others.
  std::function<void(model::Model& model)> initialize;
  /// Asked after every step, and within one that takes longer than `patience` seconds; true ends
  /// the run as an interrupt does. A step that would go on for long is abandoned, as it is when the
  /// time is over: the run then ends as it was before that step. Several ranks complete theirs.
  std::function<bool()> stop = interrupted;
  double patience = 1;
  /// Of `minutes`, what the caller needs when the run is over.
  double closing_seconds = 0;
  /// Called with the averaged model every sample_every steps before the last one, on the first
  /// rank only; to be given on all or none.
  std::function<void(const model::Model& model, int64_t step)> on_sample;
  /// Called after every step, on the first rank only; may be empty.
  std::function<void(const StepReport& report)> on_step;
  comm::Communicator* ranks =
      nullptr;  ///< who train together, each with a Trainer; null: one alone
};

struct TrainSummary {
  int64_t step = 0, tokens = 0;
  double seconds = 0;
  bool interrupted = false;
  LossReport last, validation;  ///< last: of the last line of metrics; NaN if no step was left
  double tokens_per_second = 0;
  double gemm_peak_fraction = 0;  ///< NaN if a part of the model is frozen
  size_t peak_bytes = 0;          ///< largest memory in tensors
  int ranks = 1;
  double communication_hidden = 0;  ///< share of the time of communication, NaN for one rank
};

/// One run in one folder. Its course is a pure function of configuration, data, threads and
/// machine; a resumed run continues bit for bit (unless `minutes` ties its schedule to the clock).
///
/// With several ranks each computes its share of every batch, as one rank would have: draws belong
/// to sequences. What is decided (to stop, to go back, when the time is over) all ranks decide
/// alike, from numbers that they have exchanged. The first rank alone prints and writes.
class Trainer {
 public:
  /// `tokens` must outlive the trainer. The folder must be locked by the caller.
  Trainer(const RunConfig& config, const data::TokenFile& tokens, TrainOptions options);

  /// Trains until the end of the schedule or an interrupt; leaves a checkpoint and a model either
  /// way.
  TrainSummary run();

 private:
  using Clock = std::chrono::steady_clock;
  struct StepResult {
    LossReport loss;
    double gradient_norm = 0;
    double learning_rate = 0;
    std::vector<int> not_finite;  ///< ranks whose own loss is not
    bool stop = false;            ///< a rank was asked to
  };

  TrainSummary train();
  /// Nothing if the step was abandoned: then nothing has changed.
  std::optional<StepResult> step();
  /// Adds the gradients of one step; the losses of this rank's share of each pass.
  void clear_gradients();
  std::vector<LossReport> accumulate_gradients();
  /// The gradients of one pass, micro-batch by micro-batch, the first of which is number `first` of
  /// the step's; the losses of this rank's share.
  LossReport accumulate_pass(const TrainingBatch& own, int64_t first, bool completes);
  TrainingBatch next_batch();
  [[nodiscard]] LossWeights loss_weights() const;
  /// From what all ranks have found out in their share of a step.
  StepResult combine(const std::vector<LossReport>& passes, double seconds,
                     const ExchangeTimes& earlier);
  [[nodiscard]] double own_squares() const;
  void update_weights(double learning_rate, double gradient_norm);
  void estimate_time();
  [[nodiscard]] double progress() const;  ///< of the schedule, 0 .. 1
  [[nodiscard]] bool finished() const;
  [[nodiscard]] double elapsed() const;
  [[nodiscard]] std::vector<comm::IndexRange> own_micro_batches() const;
  [[nodiscard]] double forward_share(
      int64_t use) const;  ///< of a pass, before Parameter::first_use
  /// Seconds until the training has to end so that the whole run ends within `minutes`; infinite
  /// without.
  [[nodiscard]] double training_seconds() const;
  [[nodiscard]] double closing_seconds() const;  ///< what the end of the run is expected to take
  [[nodiscard]] double seconds_per_validated() const;  ///< a sequence
  [[nodiscard]] double validation_seconds() const;
  [[nodiscard]] double saving_seconds() const;
  [[nodiscard]] int64_t validation_sequences() const;
  [[nodiscard]] Pace::Clock::time_point deadline() const;
  void report_step(const StepResult& result) const;
  void show_pace(const std::string& what, double share);
  void explain_pace(const std::string& text);
  bool agree_to_stop();  ///< whether any rank was asked to; and on what time it is
  void settle();         ///< waits for weights on their way: then all ranks have all

  bool healthy(const StepResult& result);
  void recover(const StepResult& result);

  /// Calls use(model) with the average in the place of the weights, on all ranks.
  template <class Use>
  void with_average(const Use& use);
  void exchange_average();  ///< and weights
  LossReport validate();
  void sample();
  void take_stock(const StepResult& result, bool stopped);  ///< after a step
  /// The losses since the last line, and a validation; tells both.
  void sum_up(const StepResult& result, bool validates);
  void write_line(json::Record line, bool validated);  ///< of metrics.jsonl, with its curve
  [[nodiscard]] std::string progress_note() const;
  [[nodiscard]] int64_t tokens_per_step() const;
  [[nodiscard]] double checkpoint_bytes() const;
  void start_rate();    ///< of tokens per second, which validation does not count into
  void measure_rate();  ///< since start_rate()
  [[nodiscard]] json::Record metrics_line(const StepResult& result) const;
  void add_rank_metrics(json::Record& line) const;
  void open_metrics();
  void save_checkpoint();
  void restore(const weights::Checkpoint& checkpoint);

  const std::unique_ptr<comm::Communicator> alone_;  // if no ranks were given
  comm::Communicator& ranks_;
  RunConfig config_;
  TrainOptions options_;
  TrainedArrays arrays_;
  data::SequenceLoader training_, validation_;
  weights::CheckpointFolder checkpoints_;
  std::optional<MetricsLog> metrics_;   // of the first rank
  std::unique_ptr<Exchange> exchange_;  // of several ranks

  RunState state_;  // its seconds are those until start_
  Clock::time_point start_;
  // Of the first rank: elapsed(), closing_seconds(), and what a step takes.
  double agreed_time_ = 0, agreed_closing_ = 0, agreed_step_ = 0;
  double seconds_per_validated_ = 0;      // a sequence; 0: not known yet
  int64_t validated_ = 0;                 // sequences of the last validation
  double seconds_per_saved_byte_ = 2e-9;  // a slow disk's; measured by the first checkpoint
  Pace pace_;
  double closures_ = 0;                    // of the last backward pass
  Progress* progress_ = nullptr;           // while train() runs
  std::string note_;                       // on the progress line
  std::optional<StepResult> unvalidated_;  // the last step, if it has had no validation
  Clock::time_point rate_start_;
  int64_t rate_start_step_ = 0;
  RankTimes rank_times_;  // since start_rate()
  double peak_gflops_ = 0;
  TrainSummary summary_;
};

}  // namespace evo::train
