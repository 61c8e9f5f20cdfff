// How a text is generated: the mode, and what it can be told.
#pragma once

#include <cstdint>
#include <string>

#include "decode/sampling/sampler.h"
#include "decode/sampling/shaper.h"

namespace evo::decode {

enum class Mode { kAr, kExact, kEvo, kDiffusion };
[[nodiscard]] Mode parse_mode(const std::string& name);  ///< throws UsageError
[[nodiscard]] const char* mode_name(Mode mode);

struct DecodeOptions {
  Mode mode = Mode::kExact;
  double balance = 0.5;  ///< evo mode only, in [0, 1): 0 is exact, towards 1 diffusion
  SamplerOptions sampler;
  ShapeOptions shape;
  int64_t max_tokens = 256;
  uint64_t seed = 1;
  int64_t window = 0;  ///< evolving tokens per pass; 0: the policy's choice, in diffusion mode 8
  double draft_threshold = 0.3;  ///< with a window of fixed size: draft while the probability that
                                 ///< all are kept is above this
  int64_t steps = 1;             ///< diffusion: passes in which a window ripens, at most
  double commit_maturity = 0.9;  ///< diffusion: maturity at which a token ripens ahead of its turn
  bool trace = false;            ///< fill PassTrace::tokens completely
  /// Fill PassTrace::logprobs, with so many alternatives each; negative: do not. Not in diffusion
  /// mode, which asks the autoregressive model nothing.
  int64_t logprobs = -1;

  /// Of verification, see verify().
  [[nodiscard]] double lenience() const {
    const double strict = 1 - balance;
    return mode == Mode::kEvo ? strict * strict : 1;
  }
};

}  // namespace evo::decode
