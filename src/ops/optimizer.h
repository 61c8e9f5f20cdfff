// Updates of parameter arrays. Results do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <span>

namespace evo::ops {

struct AdamwStep {
  float learning_rate = 0;
  float beta1 = 0.9f;
  float beta2 = 0.95f;
  float eps = 1e-8f;
  float weight_decay = 0;
  int64_t step = 1;          ///< 1-based, for the bias correction
  float gradient_scale = 1;  ///< multiplies the gradients first: clipping and accumulation
};

/// AdamW with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2). All arrays have
/// equal lengths; moments start at zero.
void adamw(std::span<float> parameters, std::span<const float> gradients,
           std::span<float> first_moment, std::span<float> second_moment, const AdamwStep& step);

/// Sum of squares in double, in a fixed order. NaN and infinities propagate.
[[nodiscard]] double sum_of_squares(std::span<const float> values);

/// average = decay * average + (1 - decay) * value.
void exponential_average(std::span<float> average, std::span<const float> value, float decay);

}  // namespace evo::ops
