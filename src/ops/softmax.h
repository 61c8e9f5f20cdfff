// The softmax of one row of logits and what its gradients need.
#pragma once

#include <cstdint>

namespace evo::ops {

struct SoftmaxRow {
  float max = 0;        ///< largest logit m
  int32_t argmax = 0;   ///< lowest index of it; 0 if a logit is NaN
  double sum = 0;       ///< s = sum of e^(l - m), at least 1; NaN if a logit is
  double weighted = 0;  ///< sum of e^(l - m) (l - m)

  /// -sum p log p = log s - weighted / s, at least 0.
  [[nodiscard]] double entropy() const;
};

/// Lowest index of the largest of n > 0 logits; -1 if one is NaN.
int64_t largest_logit(const float* logits, int64_t n);

/// Replaces the logits l [n] by e^(l - m): the probabilities times `sum`. n > 0.
SoftmaxRow softmax_row(float* logits, int64_t n);

/// Logits l [n] become cap tanh(l / cap); slopes [n], if given, 1 - tanh^2. cap > 0.
void cap_row(float* logits, int64_t n, float cap, float* slopes);

/// x *= factor.
void scale_row(float* x, int64_t n, float factor);

/// x_v = p_v (x_v - mean) with p_v = exponentials_v * factor: turns the gradient of probabilities
/// into the gradient of their logits, where mean = sum p_v x_v.
void softmax_gradient_row(const float* exponentials, float factor, float mean, float* x, int64_t n);

}  // namespace evo::ops
