#include "weights/gguf/llama3_scaling.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace evo::weights {

Llama3Scaling llama3_of(const json::Record& scaling) {
  return {scaling.get_double("factor"), scaling.get_double("low_freq_factor"),
          scaling.get_double("high_freq_factor"),
          scaling.get_int("original_max_position_embeddings")};
}

json::Record llama3_record(const Llama3Scaling& scaling) {
  json::Record record;
  record.set("rope_type", "llama3").set("factor", scaling.factor);
  record.set("low_freq_factor", scaling.low_freq_factor);
  record.set("high_freq_factor", scaling.high_freq_factor);
  return record.set("original_max_position_embeddings", scaling.original_max_position_embeddings);
}

std::vector<double> llama3_divisors(double theta, int64_t pairs, const Llama3Scaling& s) {
  const auto original = static_cast<double>(s.original_max_position_embeddings);
  std::vector<double> divisors;
  for (int64_t i = 0; i < pairs; ++i) {
    const double frequency = std::pow(theta, -static_cast<double>(i) / static_cast<double>(pairs));
    const double waves = original * frequency / (2 * std::numbers::pi);
    const double smooth = std::clamp(
        (waves - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor), 0.0, 1.0);
    divisors.push_back(1 / ((1 - smooth) / s.factor + smooth));
  }
  return divisors;
}

Llama3Scaling find_llama3_scaling(double theta, const std::vector<double>& divisors,
                                  std::string_view where) {
  constexpr double kTolerance = 1e-4;  // divisors are f32, computed in f32
  Llama3Scaling scaling;
  scaling.factor = *std::ranges::max_element(divisors);
  const std::vector<double> expected = llama3_divisors(theta, std::ssize(divisors), scaling);
  for (size_t i = 0; i < divisors.size(); ++i) {
    if (std::abs(divisors[i] - expected[i]) <= kTolerance * expected[i]) continue;
    fail(
        "{}: divides the frequency of rotary pair {} by {}, expected {} as in Llama 3: another "
        "scaling is not supported",
        where, i, divisors[i], expected[i]);
  }
  return scaling;
}

}  // namespace evo::weights
