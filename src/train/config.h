// Settings of a training run, declared once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "model/config.h"
#include "ops/head.h"

namespace evo::train {

struct TrainConfig {
  int64_t steps = 2000;
  double minutes = 0;
  int64_t batch_size = 16;
  int64_t micro_batch = 0;
  int64_t sequence_length = 128;
  bool whole_documents = false;
  int64_t gradient_accumulation = 1;
  std::string wire = "f32";
  bool recompute = false;

  double learning_rate = 2e-3;
  double final_learning_rate = 0.1;
  double warmup = 0.02;
  double weight_decay = 0.1;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double clip = 1.0;
  double average_decay = 0.999;

  double ar_weight = 1;
  double flow_weight = 0.2;
  double inner_weight = 0.5;
  double maturity_weight = 0.1;
  std::string code_gradient = "ce";
  std::string time_sampler = "mixed";
  std::vector<int64_t> block_lengths = {1, 2, 4, 8, 16, 32};
  double whole_block_share = 0.05;
  double answer_block_share = 0;
  double self_conditioning = 0.25;
  double infill_share = 0.1;
  bool freeze_backbone = false;
  bool freeze_flow = false;
  int64_t time_every = 200;
  double time_freeze = 0.7;

  double validation_fraction = 0.03;
  int64_t validate_every = 250;
  int64_t validation_sequences = 64;
  int64_t sample_every = 500;
  int64_t checkpoint_every = 250;
  int64_t keep_checkpoints = 2;
  int64_t log_every = 10;
  int64_t seed = 1;

  template <class V>
  void visit(V& v) {
    v("steps", steps, "optimizer steps; 0: as many as fit into `minutes`");
    v("minutes", minutes, "stop after this time; the schedule follows the clock. 0: no limit");
    v("batch_size", batch_size, "sequences per pass, of all ranks together");
    v("micro_batch", micro_batch,
      "sequences of a pass and rank that are in memory at a time; 0: all, or as many as fit");
    v("sequence_length", sequence_length, "tokens per sequence, n");
    v("whole_documents", whole_documents,
      "sequences begin where documents do, and hold as many whole ones as fit");
    v("gradient_accumulation", gradient_accumulation, "passes per optimizer step");
    v("wire", wire, "format in which ranks send gradients: f32 or bf16; their sums are f32");
    v("recompute", recompute,
      "keep of each layer what goes in, and compute the rest again in the backward pass");
    v("learning_rate", learning_rate, "peak learning rate");
    v("final_learning_rate", final_learning_rate, "end of the cosine, as a fraction of the peak");
    v("warmup", warmup, "fraction of the run with linear warm-up");
    v("weight_decay", weight_decay, "decoupled weight decay of matrices");
    v("beta1", beta1, "AdamW, first moment");
    v("beta2", beta2, "AdamW, second moment");
    v("clip", clip, "largest norm of the gradient; 0: no clipping");
    v("average_decay", average_decay, "exponential average of the weights that is saved; 0: none");
    v("ar_weight", ar_weight,
      "weight of the mature stream's cross-entropy; 0: a model that only diffuses");
    v("flow_weight", flow_weight, "beta, weight of the evolving stream's cross-entropy");
    v("inner_weight", inner_weight, "weight of the inner field's cross-entropy");
    v("maturity_weight", maturity_weight, "mu, weight of the maturity head's loss");
    v("code_gradient", code_gradient, "what shapes the codes: ce, mse (ELBO only) or pca (of E)");
    v("time_sampler", time_sampler, "times in a block: mixed, uniform or ripening");
    v("block_lengths", block_lengths, "lengths of blocks, drawn with equal probability");
    v("whole_block_share", whole_block_share, "share of sequences that are one block");
    v("answer_block_share", answer_block_share,
      "share of sequences whose blocks begin and end with the answers of the data");
    v("self_conditioning", self_conditioning, "share of passes with a first pass that is fed back");
    v("infill_share", infill_share,
      "share of sequences that are rearranged so that the model learns to fill in a middle");
    v("freeze_backbone", freeze_backbone, "train only what evolving tokens use");
    v("freeze_flow", freeze_flow, "train only what drafts: all distributions stay what they are");
    v("time_every", time_every, "steps between estimates of entropic time");
    v("time_freeze", time_freeze, "fraction of the run after which entropic time is kept");
    v("validation_fraction", validation_fraction,
      "share of the documents that is held out; of very few: end of the text");
    v("validate_every", validate_every, "steps between validations");
    v("validation_sequences", validation_sequences, "sequences in a validation, at most");
    v("sample_every", sample_every, "steps between samples of text; 0: none");
    v("checkpoint_every", checkpoint_every, "steps between checkpoints");
    v("keep_checkpoints", keep_checkpoints, "checkpoints kept");
    v("log_every", log_every, "steps per line of metrics.jsonl");
    v("seed", seed, "seed of everything random");
  }

  [[nodiscard]] ops::HeadLosses::CodeGradient code_gradient_kind() const;
  [[nodiscard]] comm::Wire wire_format() const;
};

struct RunConfig : model::ModelConfig, TrainConfig {
  template <class V>
  void visit(V& v) {
    model::ModelConfig::visit(v);
    TrainConfig::visit(v);
  }

  /// A preset's shape with training settings that suit it, and a field that drafts ahead.
  static RunConfig preset(const std::string& name);

  /// Throws Error for contradictory settings of model and training, or if the batch cannot be
  /// divided among so many ranks.
  void validate(int ranks = 1) const;
};

/// Width of a field ahead that drafts well for a model of this width.
[[nodiscard]] int64_t good_ahead_size(int64_t hidden_size);

}  // namespace evo::train
