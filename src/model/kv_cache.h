// Keys and values of the mature tokens of one sequence.
#pragma once

#include <vector>

#include "model/config.h"
#include "ops/attention.h"
#include "tensor/tensor.h"

namespace evo {

/// Per layer [capacity, G * e] keys (rotated) and values, in rank order. Entries are exact: they
/// depend on nothing but the tokens before them, so a prefix stays valid whatever follows.
class KvCache {
 public:
  KvCache(const ModelConfig& config, int64_t capacity);

  [[nodiscard]] int64_t length() const { return length_; }
  [[nodiscard]] int64_t capacity() const { return capacity_; }
  [[nodiscard]] size_t bytes() const;

  /// Forgets all but the first `length` tokens.
  void truncate(int64_t length);

  /// Writes k and v of the first `rows` rows of qkv [N, (H + 2G) e] behind the cached tokens, for
  /// one layer; advance() then counts them for all layers.
  void write(int64_t layer, const Tensor& qkv, const HeadLayout& heads, int64_t rows);
  void advance(int64_t rows);
  [[nodiscard]] KeyValueView view(int64_t layer) const;

 private:
  int64_t capacity_, length_ = 0, row_floats_;
  std::vector<Tensor> keys_, values_;  // one per layer
};

}  // namespace evo
