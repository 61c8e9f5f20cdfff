// What the blocks of families differ in.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/activation.h"
#include "ops/rope_scaling.h"

namespace evo::model {

/// What turns a layer's queries and keys.
enum class Rotation { kGlobal, kLocal, kNone };

struct LayerConfig {
  int64_t window = 0;  ///< tokens that a token sees, itself included; 0: all
  Rotation rotation = Rotation::kGlobal;
  bool sparse = false;  ///< its feed-forward part is a mixture of experts

  bool operator==(const LayerConfig&) const = default;
};

/// Of the layers that are sparse: a router's softmax over all experts chooses some for each token.
struct ExpertConfig {
  int64_t count = 0, per_token = 0;
  int64_t size = 0;         ///< width of an expert
  bool normalized = false;  ///< the chosen ones' probabilities are made to sum to 1

  bool operator==(const ExpertConfig&) const = default;
};

/// A family (model/families/) says of its models what they have of this. The defaults are Llama's,
/// and those of every new model. With `f` the activation and n a norm or, without one, nothing:
///
///   x += n_out(attention(n_in(x)))                    times residual_scale, as the next line
///   x += n_out(W_down (f(W_gate n_in(x)) * W_up n_in(x)))
struct BlockConfig {
  ops::Activation activation = ops::Activation::kSilu;
  bool gated = true;                ///< else W_down f(W_up n_in(x))
  bool layer_norm = false;          ///< norms are LayerNorm with a bias; else RMSNorm
  bool norms_inputs = true;         ///< n_in is a norm
  bool norms_outputs = false;       ///< n_out is a norm
  bool parallel = false;            ///< the feed-forward part reads the x that attention reads
  bool qk_norm_together = false;    ///< qk_norm is of all heads of a row together
  bool attention_out_bias = false;  ///< beside qkv_bias
  bool feed_forward_bias = false;
  bool learned_positions = false;  ///< are added to the embedding
  double embedding_scale = 1;
  double residual_scale = 1;
  double logit_scale = 1;
  double score_scale = 0;   ///< of q . k; 0: 1 / sqrt(head_dim)
  double score_cap = 0;     ///< scores s become cap tanh(s / cap); 0: none
  double logit_cap = 0;     ///< logits likewise
  int64_t rotary_size = 0;  ///< numbers of a head that are turned; 0: all
  double local_rope_theta = 0;
  ops::RopeScaling local_rope_scaling;
  std::vector<LayerConfig> layers;  ///< empty: sliding_window and max_window_layers say all
  ExpertConfig experts;

  bool operator==(const BlockConfig&) const = default;
};

}  // namespace evo::model
