// Operations on query and key heads before attention: rotary positions and QK-norm.
#pragma once

#include <cmath>
#include <memory>
#include <span>

#include "ops/rope_scaling.h"
#include "tensor/tape.h"

namespace evo::ops {

/// Where the heads lie in a row of a fused projection: query heads | key heads | value heads; and
/// how attention scores them.
struct HeadLayout {
  int query_heads = 0;
  int kv_heads = 0;
  int head_size = 0;
  float score_scale = 0;  ///< of q . k; 0: 1 / sqrt(head_size)
  float score_cap = 0;    ///< a score s, scaled, becomes cap tanh(s / cap); 0: it stays

  [[nodiscard]] int64_t q_cols() const { return int64_t{query_heads} * head_size; }
  [[nodiscard]] int64_t kv_cols() const { return int64_t{kv_heads} * head_size; }
  [[nodiscard]] int64_t row_cols() const { return q_cols() + 2 * kv_cols(); }
  [[nodiscard]] float scale() const {
    return score_scale > 0 ? score_scale : 1.0f / std::sqrt(static_cast<float>(head_size));
  }
};

/// Cosines and sines of position * frequency i for i < head_size / 2, times the attention factor,
/// computed in double. Copies share the tables, which are made in pieces when a position is first
/// asked for, by whatever thread: a model made for a million positions costs what its texts need.
class RopeTable {
 public:
  RopeTable() = default;
  RopeTable(int head_size, double theta, int64_t max_position, const RopeScaling& scaling = {});

  [[nodiscard]] int head_size() const;
  [[nodiscard]] int64_t max_position() const;  ///< positions are below it
  /// [head_size / 2]
  [[nodiscard]] const float* cos_row(int64_t position) const;
  [[nodiscard]] const float* sin_row(int64_t position) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Rotates the query and key heads of qkv [N, row_cols] IN PLACE ("rotate half", as Llama does),
/// row r by positions[r]. A table narrower than the heads rotates their first table.head_size()
/// numbers. The gradient of qkv is rotated back in place. `positions` [N] is copied.
void rope(tensor::Tape& tape, const tensor::Tensor& qkv, const HeadLayout& layout,
          const RopeTable& table, std::span<const int32_t> positions);

/// QK-norm: RMSNorm of each query head by q_weight [head_size] and of each key head by k_weight
/// [head_size] (Qwen3), or of all query heads of a row together by q_weight [q_cols] and of all key
/// heads by k_weight [kv_cols] (OLMo 2); value heads are copied. Returns a new tensor [N,
/// row_cols].
tensor::Tensor head_norm(tensor::Tape& tape, const tensor::Tensor& qkv, const HeadLayout& layout,
                         const tensor::Tensor& q_weight, const tensor::Tensor& k_weight, float eps);

}  // namespace evo::ops
