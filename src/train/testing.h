// What the tests of train/ share: a tiny configuration, a model with no weight at zero, texts.
#pragma once

#include <cmath>
#include <cstring>
#include <filesystem>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/threads/parallel.h"
#include "data/tokens.h"
#include "model/model.h"
#include "model/testing.h"
#include "train/config.h"
#include "train/loss/loss.h"

namespace evo::testing {

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// Sets the number of threads while it lives. Tests of tiny networks use one: waking others costs
/// more than they do, on a busy machine a hundred times more.
class ThreadsInTest {
 public:
  explicit ThreadsInTest(int count) : before_(threads()) { set_threads(count); }
  ~ThreadsInTest() { set_threads(before_); }
  ThreadsInTest(const ThreadsInTest&) = delete;
  ThreadsInTest& operator=(const ThreadsInTest&) = delete;

 private:
  int before_;
};

inline train::RunConfig tiny_run(int64_t steps) {
  train::RunConfig config;
  config.vocab_size = 16;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_hidden_layers = 2;
  config.num_attention_heads = config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = 32;
  config.code_size = 8;
  config.inner_size = 32;
  config.steps = steps;
  config.batch_size = 4;
  config.sequence_length = 16;
  config.block_lengths = {1, 4, 8};
  config.infill_share = 0;
  config.log_every = 1;
  config.validation_sequences = 4;
  config.checkpoint_every = 1000;
  config.sample_every = 0;
  return config;
}

/// Fresh weights plus noise: nothing is zero any more, the modulation and the inner field's output
/// least of all, so that every path through the network is open.
inline model::Model noisy_model(const model::ModelConfig& config, uint64_t seed) {
  model::Model model(config, true);
  model.initialize(seed);
  Random random(seed, 55);
  for (float& value : model.parameters().values()) value += 0.1f * random.normal();
  return model;
}

/// `sequences` texts of random tokens, without a plan.
inline train::TrainingBatch random_batch(const train::RunConfig& config, int64_t sequences,
                                         uint64_t seed) {
  Random random(seed, 56);
  std::vector<int32_t> texts(static_cast<size_t>(sequences * (config.sequence_length + 1)));
  for (int32_t& id : texts) {
    id = static_cast<int32_t>(random.below(static_cast<uint64_t>(config.vocab_size)));
  }
  train::TrainingBatch batch = train::TrainingBatch::from_texts(texts, sequences);
  batch.seed = seed;
  return batch;
}

/// The same with blocks and times.
inline train::TrainingBatch planned_batch(const train::RunConfig& config, const model::Model& model,
                                          int64_t sequences, uint64_t seed) {
  train::TrainingBatch batch = random_batch(config, sequences, seed);
  Random random(seed, 57);
  batch.plan =
      train::sample_blocks(config, {sequences, batch.length}, model.time().min_time(), random);
  return batch;
}

/// A text of seven different tokens, 0 to 12, over and over. Seven does not divide the length of a
/// sequence: positions alone tell nothing.
inline std::filesystem::path write_repetitive_tokens(const std::filesystem::path& path,
                                                     int32_t count) {
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < count; ++i) tokens.push_back((i % 7) * 2);
  data::write_tokens(path, tokens, 1, 2);
  return path;
}

/// How far a share of `draws` independent draws may be from its probability: five standard
/// deviations, which a right program exceeds for 6e-7 of all seeds.
inline double share_tolerance(double probability, double draws) {
  return 5 * std::sqrt(probability * (1 - probability) / draws);
}

}  // namespace evo::testing
