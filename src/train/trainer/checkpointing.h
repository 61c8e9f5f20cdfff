// What a training run has to remember, to and from a checkpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/rank_table.h"
#include "model/model.h"
#include "train/config.h"
#include "train/loss/loss_watch.h"
#include "train/metrics.h"
#include "train/ranks/partition.h"
#include "weights/checkpoint.h"

namespace evo::train {

/// Whether the optimizer changes a parameter: not those of a frozen backbone; nor codes that are
/// made from the embedding, which have no gradient, and are not decayed either.
[[nodiscard]] bool is_trained(const RunConfig& config, const model::Parameter& parameter);
/// Whether a backward pass may write its gradient: not that of a frozen part.
[[nodiscard]] bool has_gradient(const RunConfig& config, std::string_view name);

/// What the optimizer changes. Weights and gradients are there on every rank; of the rest a rank
/// has its own parts (see train/ranks/partition.h), one behind the other. In f32 the weights are
/// the master weights.
///
/// What is not trained has no moments, and its weights are their average: nothing is written there,
/// so a frozen backbone costs the memory of its weights alone.
struct TrainedArrays {
  explicit TrainedArrays(const RunConfig& config, int rank = 0, int ranks = 1);

  model::Model model;
  Partition partition;
  std::function<bool(const model::Parameter&)> trains;
  std::shared_ptr<void> pages;  ///< which the three arrays below lie in
  tensor::Tensor average;       ///< [own_size] exponential average of the model's weights
  tensor::Tensor first_moment, second_moment;  ///< [own_size] of AdamW

  /// The rank's part of a bucket: in the weights and gradients, and in the arrays of own parts.
  [[nodiscard]] std::span<float> own_weights(const Bucket& bucket) const;
  [[nodiscard]] std::span<float> own_gradients(const Bucket& bucket) const;
  [[nodiscard]] static std::span<float> own_part(const tensor::Tensor& array, const Bucket& bucket);

  /// What of the rank's part of a bucket is trained, counted from there, in order.
  [[nodiscard]] std::vector<comm::IndexRange> trained_parts(const Bucket& bucket) const;

  /// The average becomes what the weights are now.
  void start_average() const;
  /// Bytes of these arrays that are written in the course of a run, but for the weights.
  [[nodiscard]] size_t written_bytes() const;

 private:
  [[nodiscard]] tensor::Tensor own_array(size_t place) const;
};

/// How far a run is.
struct RunState {
  int64_t step = 0;           ///< optimizer steps taken
  int64_t next_sequence = 0;  ///< index of the loader's next sequence
  double seconds = 0;
  LossWatch watch;
  int64_t recoveries = 0;  ///< how often the run went back to a checkpoint
  LossMean since_line;     ///< the losses since the last line of metrics
  std::string arithmetic;  ///< what decides on the bits of products, "bf16, AVX512_CORE_AMX"
};

/// All ranks together, each its own parts. The file is the same for every number of ranks, and so
/// any number can go on.
void save_run(const weights::CheckpointFolder& folder, const TrainedArrays& arrays,
              const RunState& state, comm::Communicator& ranks);

/// Fills `arrays` and returns the state, both bit for bit. Throws Error if the checkpoint is of
/// another shape.
RunState restore_run(const weights::Checkpoint& checkpoint, TrainedArrays& arrays);

/// What CheckpointFolder::load_latest_good() finds, which the first rank looks for.
std::optional<weights::Checkpoint> latest_good(const weights::CheckpointFolder& folder,
                                               comm::Communicator& ranks);

}  // namespace evo::train
