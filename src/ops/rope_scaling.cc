#include "ops/rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace evo::ops {
namespace {

/// Llama 3.1: slow frequencies are divided by the factor, fast ones stay, those between are mixed.
void scale_llama3(const RopeScaling& scaling, std::vector<double>& frequencies) {
  const auto original = static_cast<double>(scaling.original_max_position_embeddings);
  for (double& frequency : frequencies) {
    const double turns = original * frequency / (2 * std::numbers::pi);  // in a training text
    const double kept = std::clamp(
        (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor),
        0.0, 1.0);
    frequency = (1 - kept) * frequency / scaling.factor + kept * frequency;
  }
}

/// The same idea (Peng et al. 2023, "YaRN"), but the mix is linear in the number i of a frequency
/// rather than in the frequency.
void scale_yarn(const RopeScaling& scaling, double theta, int head_size,
                std::vector<double>& frequencies) {
  const auto original = static_cast<double>(scaling.original_max_position_embeddings);
  const auto index_with_turns = [&](double turns) {
    return head_size * std::log(original / (turns * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  double low = index_with_turns(scaling.beta_fast), high = index_with_turns(scaling.beta_slow);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, head_size - 1.0);
  if (low == high) high += 0.001;  // as the original program does
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double scaled = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= scaled / scaling.factor + (1 - scaled);
  }
}

double yarn_attention_factor(const RopeScaling& scaling) {
  if (scaling.attention_factor > 0) return scaling.attention_factor;
  const auto scale = [&](double weight) {
    return scaling.factor <= 1 ? 1.0 : 0.1 * weight * std::log(scaling.factor) + 1;
  };
  if (scaling.mscale == 0 || scaling.mscale_all_dim == 0) return scale(1);
  return scale(scaling.mscale) / scale(scaling.mscale_all_dim);
}

/// LongRoPE (Ding et al. 2024), of texts up to the training's length: each frequency has a divisor
/// of its own.
void scale_longrope(const RopeScaling& scaling, std::vector<double>& frequencies) {
  if (scaling.short_factor.size() != frequencies.size()) {
    fail("rope scaling: short_factor has {} numbers: expected {}, half the rotated part of a head",
         scaling.short_factor.size(), frequencies.size());
  }
  for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] /= scaling.short_factor[i];
}

double longrope_attention_factor(const RopeScaling& scaling) {
  if (scaling.attention_factor > 0) return scaling.attention_factor;
  if (scaling.factor <= 1) return 1;
  const auto original = static_cast<double>(scaling.original_max_position_embeddings);
  return std::sqrt(1 + std::log(scaling.factor) / std::log(original));
}

void require(bool holds, const char* rule) {
  if (!holds) fail("impossible rope scaling: {}. Correct the configuration.", rule);
}

}  // namespace

void RopeScaling::validate() const {
  if (is_default()) return;
  require(rope_type == "linear" || rope_type == "llama3" || rope_type == "yarn" ||
              rope_type == "longrope",
          "rope_type must be default, linear, dynamic, llama3, yarn or longrope");
  require(factor >= 1 && factor <= 1e6, "factor must be 1 to 10^6");
  if (rope_type == "linear") return;
  require(original_max_position_embeddings >= 1 && original_max_position_embeddings <= (1 << 24),
          "original_max_position_embeddings must be 1 to 2^24");
  if (rope_type == "llama3") {
    require(low_freq_factor > 0 && high_freq_factor > low_freq_factor && high_freq_factor <= 1e6,
            "low_freq_factor must be above 0 and below high_freq_factor");
    return;
  }
  require(attention_factor >= 0 && attention_factor <= 1e3, "attention_factor must be 0 to 1000");
  if (rope_type == "longrope") {
    require(original_max_position_embeddings >= 2,
            "longrope needs original_max_position_embeddings of at least 2");
    require(std::ranges::all_of(short_factor, [](double f) { return f > 0 && f <= 1e6; }),
            "short_factor must be numbers above 0, at most 10^6");
    return;
  }
  require(beta_slow > 0 && beta_fast >= beta_slow && beta_fast <= 1e6,
          "beta_slow must be above 0 and at most beta_fast");
  require(mscale >= 0 && mscale <= 1e3 && mscale_all_dim >= 0 && mscale_all_dim <= 1e3,
          "mscale and mscale_all_dim must be 0 to 1000");
}

RopeFrequencies rope_frequencies(int head_size, double theta, const RopeScaling& scaling) {
  EVO_CHECK(head_size > 0 && head_size % 2 == 0 && theta > 0);
  RopeFrequencies result;
  for (int i = 0; i < head_size / 2; ++i) {
    result.per_position.push_back(std::pow(theta, -2.0 * i / head_size));
  }
  if (scaling.rope_type == "linear") {
    for (double& frequency : result.per_position) frequency /= scaling.factor;
  } else if (scaling.rope_type == "llama3") {
    scale_llama3(scaling, result.per_position);
  } else if (scaling.rope_type == "yarn") {
    scale_yarn(scaling, theta, head_size, result.per_position);
    result.attention_factor = yarn_attention_factor(scaling);
  } else if (scaling.rope_type == "longrope") {
    scale_longrope(scaling, result.per_position);
    result.attention_factor = longrope_attention_factor(scaling);
  }
  return result;
}

}  // namespace evo::ops
