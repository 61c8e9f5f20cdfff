// What a pass did, for whoever wants to know.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace evo::decode {

/// What a pass knew about a token that is not committed yet.
struct TokenTrace {
  int64_t position = 0;
  int32_t token = 0;  ///< draft or hypothesis
  float time = 1, entropy = 0, maturity = 0;
  std::vector<int32_t> top;   ///< likeliest tokens first, with `trace`
  std::vector<float> latent;  ///< z [d], with `trace`
};

/// A committed token under the distribution that the model has (that of temperature 1).
struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;
  std::vector<std::pair<int32_t, float>> top;  ///< the likeliest tokens first
};

struct PassTrace {
  int64_t pass = 0;
  bool reading = false;  ///< it read a piece of the prompt, `rows` tokens, and generated nothing
  std::vector<int32_t> committed;  ///< by this pass, in order
  int64_t drafted = 0, accepted = 0;
  int64_t rows = 0;  ///< of this session in the pass: new tokens, drafts and window
  std::vector<TokenTrace> tokens;
  std::vector<TokenLogprob> logprobs;  ///< of `committed`, with DecodeOptions::logprobs
};

}  // namespace evo::decode
