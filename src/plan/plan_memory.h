// Memory of one rank in training, by part.
#pragma once

#include "plan/plan_count.h"
#include "tensor/tape.h"

namespace evo::plan {

/// Bytes, at the fullest moment of a step.
struct RankMemory {
  double weights = 0, gradients = 0, moments = 0, average = 0;
  double activations = 0;  ///< what the tape keeps
  double logits = 0;       ///< of a chunk of rows; those of all rows never exist
  double working = 0;      ///< what else comes and goes, and what follows in the logits' place
  double copies = 0;       ///< of operands of products, in bf16
  double buckets = 0;      ///< other ranks' versions of a bucket of gradients

  template <class V>
  void visit(V& v) {
    v("weights", weights, "weights, f32");
    v("gradients", gradients, "gradients, f32");
    v("moments", moments, "moments of AdamW, f32, sharded");
    v("average", average, "average of the weights, f32, sharded");
    v("activations", activations, "activations on the tape, f32");
    v("logits", logits, "logits of a chunk of rows, f32");
    v("working", working, "gradients of activations, f32");
    v("copies", copies, "operands in bf16");
    v("buckets", buckets, "buckets of gradients");
  }
  [[nodiscard]] double total() const { return sum_of(*this); }
};

/// What decides on a rank's memory beside the model's shape.
struct MemoryChoices {
  int64_t ranks = 1;
  int64_t sequences = 1;  ///< in one pass of one rank
  tensor::Precision precision = tensor::Precision::kF32;
};

/// Sums of the arrays' sizes: the pool rounds each up, by 0 to 12.5%. Parameters as Rajbhandari et
/// al. 2020 (ZeRO, stage 1) count them: moments and average are sharded, weights and gradients are
/// not. Activations as Korthikanti et al. 2022 count them, for the ops of this network.
[[nodiscard]] RankMemory rank_memory(const train::RunConfig& config, const MemoryChoices& choices);

}  // namespace evo::plan
