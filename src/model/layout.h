// The network's weights, declared once: who holds them, what they are called in files, their shapes
// and first values. What a network has, counts, costs, saves and reads all come from this list.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <variant>
#include <vector>

#include "model/config.h"
#include "model/parameters.h"
#include "ops/head.h"
#include "ops/linear.h"

namespace evo::model {

/// What evolving rows add to x W^T: (x down^T) up^T. Undefined without adapters.
struct Adapter {
  ops::Weight down, up;  ///< [r, in], [out, r]
};

struct Norm {
  tensor::Tensor weight;  ///< [D]; undefined where there is no norm
  tensor::Tensor bias;    ///< [D], of LayerNorm
};

struct Expert {
  ops::Weight gate_up, down;
};

struct Layer {
  Norm attention_norm, feed_forward_norm;          ///< before the branches
  Norm attention_out_norm, feed_forward_out_norm;  ///< behind them
  tensor::Tensor query_norm, key_norm;
  tensor::Tensor qkv_bias, attention_out_bias, gate_up_bias, down_bias;  ///< undefined without
  ops::Weight qkv, attention_out, gate_up, down, modulation;
  ops::Weight router;           ///< [experts, D], of a sparse layer, which has experts instead of
  std::vector<Expert> experts;  ///< gate_up and down
  Adapter qkv_adapter, attention_out_adapter, gate_up_adapter, down_adapter;
};

/// A gated running average of what [h | E[previous]] suggests, and what it adds to h.
struct InnerField {
  ops::Weight in, out;  ///< [2R, 2D], [D, R]
};

/// A narrower one, of S = ahead_states() numbers, and a block that sees the text by the keys and
/// values of one layer.
struct AheadField {
  ops::Weight in, out, query, attention_out, gate_up, down;  ///< in [2S, 2D], out [D, S + 2D]
  tensor::Tensor attention_norm, feed_forward_norm, norm;
};

struct Network {
  ops::Weight embedding;         ///< [V, D]
  ops::Unembedding unembedding;  ///< the same if they are tied
  tensor::Tensor positions;      ///< [P, D], learned; undefined without
  std::vector<Layer> layers;
  Norm final_norm;
  // Of evolving rows: codes [V, d], what they enter by, places in a window.
  tensor::Tensor codes, places;
  ops::Weight evolve_in;
  // Of drafts.
  InnerField inner;
  AheadField ahead;
  tensor::Tensor maturity, ahead_maturity;
};

/// A weight of the network: one array of a file, or several of equal width one below the other.
struct Declaration {
  struct Array {
    std::string name;
    int64_t rows;  ///< of a vector: its length
  };
  std::variant<tensor::Tensor*, ops::Weight*>
      holder;  ///< a Weight is packed for inference, a Tensor is not
  std::vector<Array> arrays;
  int64_t cols = 0;  ///< 0: vectors
  NetworkPart part = NetworkPart::kEmbedding;
  Initialization start = Initialization::kNormal;
  int64_t first_use = 0;  ///< see Parameter
};

/// Calls `declare` for every weight that such a model has, in their order in memory, with its
/// holder in `network`, which gets its layers.
void declare_network(const ModelConfig& config, Network& network,
                     const std::function<void(const Declaration&)>& declare);

/// Declares the parameters of such a model, those of one weight next to each other.
void declare_parameters(const ModelConfig& config, ParameterStore& parameters);

/// How many parameters each part has; of the very list that a model declares.
using PartCounts = std::array<int64_t, kParts>;
[[nodiscard]] PartCounts count_parts(const ModelConfig& config);

/// What a model of this shape needs; a multiplication and an addition count as two FLOPs.
struct ModelCost {
  int64_t backbone_parameters = 0;
  int64_t flow_parameters = 0;  ///< everything that only evolving tokens use
  [[nodiscard]] int64_t parameters() const { return backbone_parameters + flow_parameters; }
  double decode_flops_per_token = 0;    ///< one mature token with `context` keys
  double training_flops_per_token = 0;  ///< both streams, forward and backward, at length `context`
  double first_pass_flops_per_token = 0;  ///< the extra forward pass of self-conditioning
};
[[nodiscard]] ModelCost model_cost(const ModelConfig& config, int64_t context);

}  // namespace evo::model
