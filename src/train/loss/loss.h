// The training objective: one two-stream pass, four losses.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "data/loader.h"
#include "model/model.h"
#include "train/examples/blocks.h"

namespace evo::train {

/// Rows of a batch over which losses are means.
struct RowCounts {
  int64_t learnt = 0;     ///< whose targets count
  int64_t elbo = 0;       ///< of them, those from which the ELBO is estimated
  int64_t not_first = 0;  ///< of them, those that are not the first of their block
};

/// The rows of a batch that evolve, Ne of them, block after block.
struct EvolvingRows {
  std::vector<int32_t> rows;               ///< [Ne] of the batch
  std::vector<int32_t> targets, previous;  ///< [Ne] the token that a row stands for; that before it
  std::vector<float> times;                ///< [Ne] as planned
  std::vector<uint8_t> learn, starts;      ///< [Ne] 1: its target counts; it begins a block
  std::vector<ops::KeyRange> sees;  ///< [Ne] mature rows of the batch; its own block, from the
                                    ///< first of the Ne rows

  [[nodiscard]] int64_t size() const { return std::ssize(rows); }
  /// What these rows have of one value per row of the batch.
  template <class Value>
  [[nodiscard]] std::vector<Value> of(const std::vector<Value>& column) const {
    std::vector<Value> own;
    for (int32_t row : rows) own.push_back(column[row]);
    return own;
  }
};

/// B texts of n + 1 tokens: mature rows hold the first n, both streams predict the last n.
struct TrainingBatch {
  int64_t sequences = 0, length = 0;  ///< B, n
  std::vector<int32_t> ids, targets;  ///< [B * n] each
  std::vector<int32_t> positions;     ///< [B * n] of the ids; of the targets: one more
  std::vector<uint8_t> learn;         ///< [B * n] 0: the target does not count; empty: all do
  BlockPlan plan;                     ///< empty: the autoregressive loss only
  uint64_t seed = 0, stream = 0;      ///< of the noise
  bool self_condition = false;        ///< run a first pass and feed it back
  int64_t first_row = 0;              ///< of a share: its first row's number in the whole batch
  std::optional<RowCounts> whole;     ///< of a share: what the whole batch has

  /// `texts` [B * (n + 1)].
  static TrainingBatch from_texts(std::span<const int32_t> texts, int64_t sequences);
  /// Of the loader's sequences from `first` on.
  static TrainingBatch from_loader(const data::SequenceLoader& loader, int64_t first,
                                   int64_t sequences);

  /// Its sequences [first, first + count), with the noise that they have in the whole batch.
  /// Losses of a share are divided by the rows of the whole batch: over all shares, losses and
  /// gradients add up to those of the whole.
  [[nodiscard]] TrainingBatch share(int64_t first, int64_t count) const;
  [[nodiscard]] RowCounts row_counts() const;      ///< of the whole batch
  [[nodiscard]] RowCounts own_row_counts() const;  ///< of the rows that are here

  /// Those of every planned block that has a target that counts: of the others nothing would be
  /// learnt, and nobody sees them.
  [[nodiscard]] EvolvingRows evolving_rows() const;

  [[nodiscard]] bool learns(size_t row) const;            ///< its target counts
  [[nodiscard]] bool has_uniform_time(size_t row) const;  ///< and it estimates the ELBO
};

/// What the evolving rows start from.
struct Latents {
  tensor::Tensor z, previous_x;  ///< [Ne, d]
  std::vector<float> times;      ///< [Ne]
};

struct LossWeights {
  double flow = 0, inner = 0, maturity = 0;  ///< `inner`: of both fields that draft
  ops::HeadLosses::CodeGradient code_gradient = ops::HeadLosses::CodeGradient::kNone;
  double ar = 1;  ///< 0: the autoregressive loss is reported, but trains nothing
};

/// Means over the rows that count, in nats per token; 0 for a part whose weight is 0, which is not
/// evaluated. Of a share of a batch: its summands of those means.
struct LossReport {
  double total = 0;
  double ar_nll = 0;
  double flow = 0, inner = 0, ahead = 0, maturity = 0;
  double elbo = 0;        ///< from rows of uniform time; without the reconstruction term
  int64_t elbo_rows = 0;  ///< how many those were

  LossReport& operator+=(const LossReport& share);  ///< of the same batch
};

/// How `sequences` are cut into as few nearly equal parts of at most `most` as there can be; 0:
/// one.
[[nodiscard]] std::vector<comm::IndexRange> micro_batches(int64_t sequences, int64_t most);

/// On a recording tape, backward() then adds the gradient of `total` times `scale` to the model's
/// parameters. On an inference tape: the losses only.
LossReport training_loss(tensor::Tape& tape, const model::Model& model, const TrainingBatch& batch,
                         const LossWeights& weights, double scale = 1);

/// The rows of one two-stream pass (see docs/design/training.md, "Objective").
model::ForwardInput two_stream_input(const TrainingBatch& batch, const Latents& latents);

}  // namespace evo::train
