#include "model/model.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "base/threads/parallel.h"
#include "ops/codes.h"

namespace evo::model {

Model::Model(const ModelConfig& config, bool gradients) : config_(config) {
  config_.validate();
  declare_parameters(config_, parameters_);
  parameters_.allocate(gradients);
  bind();
  const auto table = [&](double theta, const ops::RopeScaling& scaling) {
    const int64_t size = config.rotary_size > 0 ? config.rotary_size : config.head_dim;
    return std::make_unique<ops::RopeTable>(static_cast<int>(size), theta,
                                            config.max_position_embeddings, scaling);
  };
  rope_ = table(config.rope_theta, config.rope_scaling);
  if (config.local_rope_theta > 0) {
    local_rope_ = table(config.local_rope_theta, config.local_rope_scaling);
  }
  set_time(flow::EntropicTime::standard(static_cast<int>(config.code_size)));
  unigram_.assign(config.vocab_size, 1.0f / static_cast<float>(config.vocab_size));
}

void Model::bind() {
  declare_network(config_, network_, [this](const Declaration& weight) {
    const std::string& first = weight.arrays.front().name;
    tensor::Tensor values = parameters_.fused(first, weight.arrays.back().name);
    if (trained_ != nullptr && !trained_(first)) values = values.detach();
    if (tensor::Tensor* const* tensor = std::get_if<tensor::Tensor*>(&weight.holder)) {
      **tensor = values;
    } else {
      *std::get<ops::Weight*>(weight.holder) = {values, nullptr};
    }
  });
  if (config_.tie_word_embeddings) network_.unembedding = network_.embedding;
  network_.unembedding.cap = static_cast<float>(config_.logit_cap);
}

void Model::train_only(bool (*trained)(std::string_view name)) {
  trained_ = trained;
  bind();
}

void Model::initialize(uint64_t seed) {
  constexpr float kDeviation = 0.02f;
  const float residual =
      kDeviation / std::sqrt(2.0f * static_cast<float>(config_.num_hidden_layers));
  const auto& list = parameters_.list();
  parallel_items(static_cast<int64_t>(list.size()), [&](int64_t index) {
    const Parameter& p = list[index];
    const std::span<float> values = parameters_.values_of(p);
    if (p.start == Initialization::kOnes || p.start == Initialization::kZeros) {
      std::ranges::fill(values, p.start == Initialization::kOnes ? 1.0f : 0.0f);
    } else {
      const float deviation = p.start == Initialization::kUnit       ? 1.0f
                              : p.start == Initialization::kResidual ? residual
                                                                     : kDeviation;
      Random random(seed, stream_id({0x696E6974, static_cast<uint64_t>(index)}));
      random.fill_normal(values);
      for (float& value : values) value *= deviation;
    }
  });
}

void Model::set_time(const flow::EntropicTime& time) {
  const auto rounded = [](std::vector<double> values) {
    for (double& value : values) value = static_cast<float>(value);
    return values;
  };
  time_.emplace(rounded(time.log_snr()), rounded(time.time_values()));
}

tensor::Tensor Model::codes(tensor::Tape& tape) const {
  pass_gate(0);
  return ops::normalize_codes(tape, network_.codes);
}

ops::Unembedding Model::detached_unembedding() const {
  return {{network_.unembedding.value.detach(), network_.unembedding.packed},
          network_.unembedding.cap};
}

ops::HeadLayout Model::heads() const {
  return {static_cast<int>(config_.num_attention_heads),
          static_cast<int>(config_.num_key_value_heads), static_cast<int>(config_.head_dim),
          static_cast<float>(config_.score_scale), static_cast<float>(config_.score_cap)};
}

}  // namespace evo::model
