// How a run is made to fit into the memory that there is, before any of it is taken.
#pragma once

#include <string>

#include "tensor/tape.h"
#include "train/config.h"

namespace evo::plan {

/// How a step of a process alone is computed. Neither changes what is computed: micro-batches add
/// the same gradients in another order, recomputation gives the same bits.
struct MemoryFit {
  int64_t micro_batch = 0;  ///< sequences at a time; 0: all of a pass
  bool recompute = false;
  double bytes = 0;           ///< expected peak of the process
  double bytes_as_asked = 0;  ///< with the settings as they were
  bool fits = false;          ///< if not, this is what takes the least
};

/// Resident memory of a whole process that trains: program and libraries, tokenizer, the arrays of
/// rank_memory() and what the pool of arrays holds beside them. For models of 8M and of 149M
/// parameters it was 4 to 10% more than what was measured (docs/log.md, 2026-11-30).
[[nodiscard]] double process_memory(const train::RunConfig& config, tensor::Precision precision);

/// The fastest way that fits into `available` bytes: all at once if possible, else as few equal
/// micro-batches as it takes, with recomputation only if single sequences do not fit otherwise.
/// A `micro_batch` that the settings name is kept unless it does not fit.
[[nodiscard]] MemoryFit fit_memory(const train::RunConfig& config, tensor::Precision precision,
                                   double available);

/// What a person is told about `fit`; empty if the settings are as they were.
[[nodiscard]] std::string describe_fit(const train::RunConfig& config, const MemoryFit& fit,
                                       double available);

}  // namespace evo::plan
