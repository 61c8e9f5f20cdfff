// What a plan says about memory, against what the pool hands out.
#include "plan/plan_memory.h"

#include <gtest/gtest.h>

#include "model/testing.h"
#include "train/testing.h"
#include "train/trainer/checkpointing.h"

namespace evo::plan {
namespace {

/// A shape and a batch, large enough that activations are more than the fixed parts.
train::RunConfig shape(int64_t width, int64_t layers, int64_t vocabulary, bool flow) {
  train::RunConfig config;
  config.vocab_size = vocabulary;
  config.hidden_size = config.inner_size = width;
  config.intermediate_size = width * 11 / 4;
  config.num_hidden_layers = layers;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = width / 4;
  config.sequence_length = 128;
  config.flow = flow;
  return config;
}

/// Bytes that the pool has handed out at most while `run` ran, beyond those before.
template <class Run>
double peak_of(const Run& run) {
  const tensor::PoolStats before = tensor::pool_stats();
  // The pool's peak never falls: fill up to it, so that what `run` takes is seen.
  const auto ballast =
      tensor::pooled_bytes(std::max<size_t>(before.peak_bytes - before.in_use_bytes, 64));
  const size_t base = tensor::pool_stats().in_use_bytes;
  run();
  return static_cast<double>(tensor::pool_stats().peak_bytes - base);
}

/// Peak of forward and backward pass of `sequences` sequences, without weights and optimizer.
double measured_pass(const train::RunConfig& config, int64_t sequences) {
  const model::Model model = testing::noisy_model(config, 3);
  train::TrainingBatch batch = config.flow ? testing::planned_batch(config, model, sequences, 4)
                                           : testing::random_batch(config, sequences, 4);
  const train::LossWeights weights{config.flow_weight, config.inner_weight, config.maturity_weight,
                                   config.code_gradient_kind()};
  const auto pass = [&] {
    tensor::Tape tape(tensor::Tape::Mode::kTraining, tensor::Precision::kF32,
                      config.recompute ? tensor::Tape::Keep::kInputs : tensor::Tape::Keep::kAll);
    train::training_loss(tape, model, batch, weights);
    tape.backward();
  };
  pass();  // what lives longer than a pass (tables of RoPE, products' scratch) is made now
  return peak_of(pass);
}

double planned_pass(const train::RunConfig& config, int64_t sequences) {
  const RankMemory memory = rank_memory(config, {.sequences = sequences});
  return memory.activations + memory.working + memory.logits;
}

TEST(PlanMemory, ActivationsAreWhatThePoolHandsOut) {
  const testing::ThreadsInTest two(2);
  struct Case {
    const char* name;
    train::RunConfig config;
    int64_t sequences;
    double rounding = 0;  // of the pool, which these shapes avoid but for padded rows of logits
  };
  train::RunConfig adapters = shape(64, 3, 500, true), wide = shape(64, 2, 300, true);
  adapters.adapter_rank = 8;
  wide.intermediate_size = 64;  // the fullest moment is in the inner field
  wide.inner_size = 256;
  train::RunConfig normed = shape(128, 2, 1000, true);
  normed.qk_norm = true;
  normed.code_gradient = "mse";
  train::RunConfig remade = shape(128, 8, 300, true),
                   remade_autoregressive = shape(128, 8, 300, false);
  remade.recompute = remade_autoregressive.recompute = true;
  const Case cases[] = {{"both streams", shape(128, 4, 1000, true), 4},
                        {"autoregressive", shape(128, 4, 1000, false), 8},
                        {"large vocabulary", shape(64, 2, 8192, true), 4, 0.08},
                        {"one sequence", shape(256, 2, 512, true), 1},
                        {"many sequences", shape(64, 4, 512, true), 16},
                        {"adapters", adapters, 4},
                        {"wide inner field", wide, 8},
                        {"qk norm, mse", normed, 4},
                        {"recomputed", remade, 8},
                        {"recomputed, autoregressive", remade_autoregressive, 8}};
  for (const Case& c : cases) {
    const double ratio = planned_pass(c.config, c.sequences) / measured_pass(c.config, c.sequences);
    // A plan leaves out arrays of a row or a column, and counts those of adapters as if all lived
    // to the end.
    EXPECT_LT(ratio, 1.015) << c.name;
    EXPECT_GT(ratio, 1 - 0.015 - c.rounding) << c.name;
  }
}

/// Bytes of a rank's weights, gradients, moments and average against the formula of `evo plan`.
TEST(PlanMemory, OfARankIsWhatItHolds) {
  train::RunConfig config = testing::tiny_run(1);
  config.hidden_size = 256;
  config.intermediate_size = 768;
  config.vocab_size = 2000;
  config.num_hidden_layers = 4;
  config.head_dim = 64;
  config.num_attention_heads = config.num_key_value_heads = 4;
  for (const int ranks : {1, 2, 4}) {
    const train::TrainedArrays arrays(config, ranks - 1, ranks);
    const double weights = static_cast<double>(arrays.model.parameters().values().size_bytes());
    const double measured = weights + static_cast<double>(arrays.written_bytes());
    const RankMemory plan = rank_memory(config, {.ranks = ranks});
    const double planned = plan.weights + plan.gradients + plan.moments + plan.average;
    EXPECT_NEAR(measured / planned, 1, 0.05) << ranks;
  }
}

}  // namespace
}  // namespace evo::plan
