#include "model/kv_cache.h"

#include <cstring>

namespace evo {

KvCache::KvCache(const ModelConfig& config, int64_t capacity)
    : capacity_(capacity), row_floats_(config.num_key_value_heads * config.head_dim) {
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    keys_.push_back(Tensor::empty({capacity, row_floats_}));
    values_.push_back(Tensor::empty({capacity, row_floats_}));
  }
}

size_t KvCache::bytes() const {
  return keys_.size() * 2 * static_cast<size_t>(capacity_ * row_floats_) * sizeof(float);
}

void KvCache::truncate(int64_t length) {
  EVO_CHECK(length >= 0 && length <= length_);
  length_ = length;
}

void KvCache::write(int64_t layer, const Tensor& qkv, const HeadLayout& heads, int64_t rows) {
  EVO_CHECK(length_ + rows <= capacity_);
  const auto bytes = static_cast<size_t>(row_floats_) * sizeof(float);
  const auto index = static_cast<size_t>(layer);
  for (int64_t r = 0; r < rows; ++r) {
    const float* key = qkv.row(r) + heads.q_cols();
    std::memcpy(keys_[index].row(length_ + r), key, bytes);
    std::memcpy(values_[index].row(length_ + r), key + row_floats_, bytes);
  }
}

void KvCache::advance(int64_t rows) {
  length_ += rows;
}

KeyValueView KvCache::view(int64_t layer) const {
  const auto index = static_cast<size_t>(layer);
  return {keys_[index].f32(), values_[index].f32(), row_floats_};
}

}  // namespace evo
