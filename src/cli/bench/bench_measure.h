// Training steps timed in this process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "json/record.h"
#include "model/model.h"

namespace evo::cli {

/// Seconds of a clock that never goes back.
[[nodiscard]] double now();

/// What is timed, here and in a peer.
struct BenchCase {
  std::string preset;
  tensor::Precision precision = tensor::Precision::kF32;
  int64_t batch = 8, sequence = 256;  ///< texts, tokens per text
  int64_t block = 16;                 ///< length of all blocks of the evolving stream
  int64_t steps = 7, warm_up = 2;
  int threads = 1;
  bool ar_only = false;

  [[nodiscard]] model::ModelConfig config() const;
  /// The flags that have the same names in a peer.
  void append_common_flags(std::vector<std::string>& words) const;
  [[nodiscard]] double tokens_per_step() const { return static_cast<double>(batch * sequence); }
};

/// Training steps (forward, backward, norm of the gradient, AdamW) on random tokens:
/// tokens_per_second by the median step, gemm_peak_fraction and gemm_peak_gflops, peak_rss_mb of
/// this process, other_cores (that other processes used meanwhile; null where the system does not
/// tell), parameters and the last loss. Writes "step K of N" to
/// standard error after each step.
json::Record measure_training(const BenchCase& work);

/// The middle value, or the mean of the two in the middle; NaN if there is none.
double median(std::vector<double> values);

}  // namespace evo::cli
