// Likelihood of a text: exact along the autoregressive path, the ELBO along diagonal and block
// paths.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "eval/scorer.h"
#include "tokenizer/tokenizer.h"

namespace evo::eval {

struct LikelihoodOptions {
  ScoreOptions score;
  int64_t context = 256;  ///< tokens scored per window; every window starts afresh
  int64_t limit = 0;      ///< tokens scored at most; 0: all
  int64_t batch = 16;     ///< windows per pass; bounds draw other times with another batch
};

struct LikelihoodResult {
  double nats_per_token = 0;
  double bits_per_byte = 0;
  /// Of nats_per_token, over windows: both text and noise. For bounds rather too large, since the
  /// low-discrepancy times are shared by the windows of a pass.
  double standard_error = 0;
  bool bound = false;  ///< an upper bound (ELBO), not the likelihood
  int64_t tokens = 0, bytes = 0;
};

/// Scores tokens 1 .. of `tokens` in windows. The ELBO of a window is the integral of
/// 1/2 |c - x|^2 over the SNR path, estimated at low-discrepancy entropic times, plus the
/// cross-entropy of the tokens at the cleanest level. Throws Error for fewer than two tokens.
LikelihoodResult likelihood(const model::Model& model, const tokenizer::Tokenizer& tokenizer,
                            std::span<const int32_t> tokens, const LikelihoodOptions& options,
                            const std::function<void(int64_t tokens)>& on_progress = {});

}  // namespace evo::eval
