// Updates of parameters.
#include <cmath>

#include "ops/reference/reference.h"

namespace evo::ops::reference {

void adamw(std::span<float> parameters, std::span<const float> gradients,
           std::span<float> first_moment, std::span<float> second_moment, const AdamwStep& step) {
  const double beta1 = step.beta1, beta2 = step.beta2, rate = step.learning_rate;
  const auto steps = static_cast<double>(step.step);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const double g = static_cast<double>(gradients[i]) * static_cast<double>(step.gradient_scale);
    const double m = beta1 * static_cast<double>(first_moment[i]) + (1 - beta1) * g;
    const double v = beta2 * static_cast<double>(second_moment[i]) + (1 - beta2) * g * g;
    const double mean = m / (1 - std::pow(beta1, steps));
    const double spread = std::sqrt(v / (1 - std::pow(beta2, steps)));
    const double kept =
        static_cast<double>(parameters[i]) * (1 - rate * static_cast<double>(step.weight_decay));
    parameters[i] =
        static_cast<float>(kept - rate * mean / (spread + static_cast<double>(step.eps)));
    first_moment[i] = static_cast<float>(m);
    second_moment[i] = static_cast<float>(v);
  }
}

double sum_of_squares(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

void exponential_average(std::span<float> average, std::span<const float> value, float decay) {
  const auto kept = static_cast<double>(decay);
  for (size_t i = 0; i < average.size(); ++i) {
    average[i] = static_cast<float>(kept * static_cast<double>(average[i]) +
                                    (1 - kept) * static_cast<double>(value[i]));
  }
}

}  // namespace evo::ops::reference
