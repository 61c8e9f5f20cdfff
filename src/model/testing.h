// What the tests of the network and of everything above it share: tiny models in which all paths
// of the network matter.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/threads/parallel.h"
#include "model/model.h"

namespace evo::testing {

/// Tiny products are slower on several threads than on one, much slower on a busy machine. Tests
/// about threads set their own number.
class OneThread : public ::testing::Environment {
 public:
  void SetUp() override { set_threads(1); }
};
inline ::testing::Environment* const kOneThread =
    ::testing::AddGlobalTestEnvironment(new OneThread);

inline constexpr int64_t kTinyContext = 128;

/// Two layers, grouped heads and untied embeddings.
inline model::ModelConfig tiny_config(int64_t vocabulary) {
  model::ModelConfig config;
  config.vocab_size = vocabulary;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 8;
  config.max_position_embeddings = kTinyContext;
  config.tie_word_embeddings = false;
  config.code_size = 8;
  config.inner_size = config.hidden_size;
  return config;
}

/// Networks that differ in everything that blocks of families differ in (BlockConfig), by the
/// family that has most of it. The last is a mixture of experts, which cannot be trained.
inline constexpr std::array kBlockKinds = {"llama", "qwen3",   "gemma",  "olmo",
                                           "gpt",   "granite", "experts"};

inline model::ModelConfig with_blocks(model::ModelConfig config, std::string_view kind) {
  const auto layers = static_cast<size_t>(config.num_hidden_layers);
  if (kind == "qwen3") config.qk_norm = true;
  if (kind == "gemma") {
    config.activation = ops::Activation::kGeluTanh;
    config.norms_outputs = config.qk_norm = true;
    config.embedding_scale = 3;
    config.score_scale = 0.3;
    config.score_cap = 4;
    config.logit_cap = 5;
    config.local_rope_theta = 100;
    config.layers.resize(layers);
    config.layers[0] = {.window = 5, .rotation = model::Rotation::kLocal};
  } else if (kind == "olmo") {
    config.norms_inputs = false;
    config.norms_outputs = config.qk_norm = config.qk_norm_together = true;
  } else if (kind == "gpt") {
    config.activation = ops::Activation::kGelu;
    config.gated = false;
    config.layer_norm = config.learned_positions = config.parallel = true;
    config.qkv_bias = config.attention_out_bias = config.feed_forward_bias = true;
    config.layers.assign(layers, {.rotation = model::Rotation::kNone});
  } else if (kind == "granite") {
    config.residual_scale = 0.4;
    config.logit_scale = 0.5;
    config.rotary_size = config.head_dim / 2;
    config.qkv_bias = config.attention_out_bias = config.feed_forward_bias = true;
    config.layers.resize(layers);
    config.layers[0].rotation = model::Rotation::kNone;
  } else if (kind == "experts") {
    config.experts = {.count = 5, .per_token = 2, .size = 24, .normalized = true};
    config.layers.resize(layers);
    config.layers.back().sparse = true;
  }
  return config;
}

/// Every parameter random: norms about 1, matrices with this deviation, none of them 0.
inline void randomize(model::Model& model, uint64_t seed, float deviation) {
  Random random(seed, 2);
  for (const model::Parameter& p : model.parameters().list()) {
    const bool norm = p.name.ends_with("norm.weight");
    for (float& value : model.parameters().values_of(p)) {
      value = deviation * random.normal() + (norm ? 1.0f : 0.0f);
    }
  }
}

/// A model that nobody trained but whose drafts resemble what it then says: large embeddings make
/// the last token the strongest reason for the next one, and the inner field, which is told the
/// token before, hands a bounded copy of its embedding to the same unembedding. So a good part of
/// the drafts is accepted, and another is rejected.
inline model::Model tiny_model(const model::ModelConfig& config, uint64_t seed) {
  model::Model model(config, false);
  randomize(model, seed, 0.1f);
  Random random(seed, 3);
  const auto fill = [&](const char* name, float deviation) {
    for (float& value : model.parameters().tensor(name).values())
      value = deviation * random.normal();
  };
  fill("model.embed_tokens.weight", 1.0f);
  if (!config.tie_word_embeddings) fill("lm_head.weight", 0.5f);
  if (config.flow) {
    const tensor::Tensor in = model.parameters().tensor("evo.inner.in.weight");    // [2R, 2D]
    const tensor::Tensor out = model.parameters().tensor("evo.inner.out.weight");  // [D, R]
    for (int64_t i = 0; i < std::min(config.inner_size, config.hidden_size); ++i) {
      in.row(config.inner_size + i)[config.hidden_size + i] += 1;
      out.row(i)[i] += 10;
    }
    if (config.ahead_size > 0) {
      const tensor::Tensor ahead_in = model.parameters().tensor("evo.ahead.in.weight");
      const tensor::Tensor ahead_out = model.parameters().tensor("evo.ahead.out.weight");
      const int64_t states = config.ahead_states();
      for (int64_t i = 0; i < std::min(states, config.hidden_size); ++i) {
        ahead_in.row(states + i)[config.hidden_size + i] += 1;
        ahead_out.row(i)[i] += 10;
      }
    }
    tensor::Tape tape(tensor::Tape::Mode::kInference);
    const tensor::Tensor codes = model.codes(tape);
    model.set_time(flow::estimate_entropic_time(codes.values(), config.code_size, model.unigram()));
  }
  model.pack(tensor::Precision::kF32);
  return model;
}

}  // namespace evo::testing
