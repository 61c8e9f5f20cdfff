// Attention as its formula says, for tests: any float type, no tiles, no tricks.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/attention.h"

namespace evo::ops {

/// The arguments of attention() for float type T. Context rows are rows of qkv unless
/// `context_keys` and `context_values` [rows, G e] are given.
template <class T>
struct ReferenceAttention {
  HeadLayout layout;
  std::span<const KeyRange> ranges;  // [N]
  const T* qkv = nullptr;            // [N, row_cols]
  const T* context_keys = nullptr;
  const T* context_values = nullptr;

  /// [N, H e]
  [[nodiscard]] std::vector<T> forward() const {
    std::vector<T> out(ranges.size() * layout.q_cols());
    for_each_query(
        [&](int64_t r, int head, const std::vector<Key>& keys, const std::vector<T>& weights) {
          T* o = out.data() + r * layout.q_cols() + int64_t{head} * layout.head_size;
          for (size_t k = 0; k < keys.size(); ++k) {
            for (int i = 0; i < layout.head_size; ++i) o[i] += weights[k] * keys[k].value[i];
          }
        });
    return out;
  }

  /// The gradient of qkv for a gradient dout [N, H e]; context rows must be rows of qkv.
  [[nodiscard]] std::vector<T> backward(const T* dout) const {
    std::vector<T> dqkv(ranges.size() * layout.row_cols());
    const auto gradient_of = [&](const T* x) { return dqkv.data() + (x - qkv); };
    for_each_query([&](int64_t r, int head, const std::vector<Key>& keys,
                       const std::vector<T>& weights) {
      const T* dy = dout + r * layout.q_cols() + int64_t{head} * layout.head_size;
      const T* q = query(r, head);
      std::vector<T> dweights(keys.size());
      T mean = 0;
      for (size_t k = 0; k < keys.size(); ++k) {
        dweights[k] = dot(dy, keys[k].value);
        mean += weights[k] * dweights[k];
      }
      for (size_t k = 0; k < keys.size(); ++k) {
        const T dscore = weights[k] * (dweights[k] - mean) * slope(dot(q, keys[k].key)) * scale();
        for (int i = 0; i < layout.head_size; ++i) {
          gradient_of(keys[k].value)[i] += weights[k] * dy[i];
          gradient_of(keys[k].key)[i] += dscore * q[i];
          gradient_of(q)[i] += dscore * keys[k].key[i];
        }
      }
    });
    return dqkv;
  }

 private:
  struct Key {
    const T* key;
    const T* value;
  };

  [[nodiscard]] T scale() const {
    return layout.score_scale > 0 ? static_cast<T>(layout.score_scale)
                                  : 1 / std::sqrt(static_cast<T>(layout.head_size));
  }
  /// The score of q . k, and its slope over the scaled product.
  [[nodiscard]] T score(T product) const {
    const T s = scale() * product, cap = layout.score_cap;
    return cap > 0 ? cap * std::tanh(s / cap) : s;
  }
  [[nodiscard]] T slope(T product) const {
    const T part = layout.score_cap > 0 ? score(product) / static_cast<T>(layout.score_cap) : 0;
    return 1 - part * part;
  }
  [[nodiscard]] const T* query(int64_t r, int head) const {
    return qkv + r * layout.row_cols() + int64_t{head} * layout.head_size;
  }
  [[nodiscard]] T dot(const T* a, const T* b) const {
    T sum = 0;
    for (int i = 0; i < layout.head_size; ++i) sum += a[i] * b[i];
    return sum;
  }

  [[nodiscard]] Key key_of_pass(int64_t row, int64_t kv_column) const {
    const T* keys = qkv + row * layout.row_cols() + layout.q_cols();
    return {keys + kv_column, keys + layout.kv_cols() + kv_column};
  }

  [[nodiscard]] std::vector<Key> visible(const KeyRange& range, int head) const {
    const int group = layout.query_heads / layout.kv_heads;
    const int64_t column = int64_t{head / group} * layout.head_size;
    std::vector<Key> keys;
    for (int64_t row = range.context_begin; row < range.context_end; ++row) {
      const int64_t at = row * layout.kv_cols() + column;
      keys.push_back(context_keys ? Key{context_keys + at, context_values + at}
                                  : key_of_pass(row, column));
    }
    for (int64_t row = range.self_begin; row < range.self_end; ++row) {
      keys.push_back(key_of_pass(row, column));
    }
    return keys;
  }

  /// fn(row, head, visible keys, softmax weights)
  template <class Fn>
  void for_each_query(const Fn& fn) const {
    for (int64_t r = 0; r < std::ssize(ranges); ++r) {
      for (int head = 0; head < layout.query_heads; ++head) {
        const std::vector<Key> keys = visible(ranges[r], head);
        std::vector<T> weights;
        for (const Key& key : keys) weights.push_back(score(dot(query(r, head), key.key)));
        const T maximum = *std::max_element(weights.begin(), weights.end());
        T total = 0;
        for (T& weight : weights) total += weight = std::exp(weight - maximum);
        for (T& weight : weights) weight /= total;
        fn(r, head, keys, weights);
      }
    }
  }
};

}  // namespace evo::ops
