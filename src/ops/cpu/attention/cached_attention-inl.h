// A few queries of one kv head on their way through blocks of keys. Re-included per target.
//
// Bits: whatever is done to a query in a block is the same sequence of operations in whatever
// company it comes. Scores are one chain of multiply-adds over e; values are two, one of even and
// one of odd keys.
#if defined(EVO_OPS_CACHED_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVO_OPS_CACHED_ATTENTION_INL_H_
#undef EVO_OPS_CACHED_ATTENTION_INL_H_
#else
#define EVO_OPS_CACHED_ATTENTION_INL_H_
#endif

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "ops/cached_attention.h"
#include "ops/cpu/attention/cached_attention_plan.h"
#include "ops/cpu/attention/cached_head-inl.h"
#include "ops/cpu/simd/math-inl.h"
#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {

inline constexpr int kLanes = static_cast<int>(hn::MaxLanes(FloatTag()));
inline constexpr int kBlockVectors = ops::kCacheBlock / kLanes;
static_assert(kLanes * sizeof(float) <= ops::kCachePadding && ops::kCacheBlock % kLanes == 0);

/// Sums that are kept in registers: 16 of the 32 that AVX-512 has, 8 of the 16 of older targets.
inline constexpr int kSums = HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3 ? 8 : 16;

/// Vectors of keys that kQueries queries meet at a time ...
template <int kQueries>
inline constexpr int kKeyVectors = std::min(kSums / kQueries, kBlockVectors);
/// ... and vectors of values, each of which has two sums per query.
template <int kQueries>
inline constexpr int kValueVectors = std::min(kSums / (2 * kQueries), 4);

/// Scores of kVectors vectors of keys from `first` on, without the layout's factor, for queries
/// [0, kQueries).
template <int kQueries, int kVectors, class Head>
HWY_INLINE void score_vectors(const float* const* queries, const Head& head, int head_size,
                              int first, float* HWY_RESTRICT scores) {
  const FloatTag d;
  FloatVec sum[kQueries][kVectors];
  for (int q = 0; q < kQueries; ++q) {
    for (int v = 0; v < kVectors; ++v) sum[q][v] = hn::Zero(d);
  }
  for (int i = 0; i < head_size; ++i) {
    FloatVec key[kVectors];
    for (int v = 0; v < kVectors; ++v) key[v] = head.key(i, first + v * kLanes);
    for (int q = 0; q < kQueries; ++q) {
      const FloatVec factor = hn::Set(d, queries[q][i]);
      for (int v = 0; v < kVectors; ++v) sum[q][v] = hn::MulAdd(factor, key[v], sum[q][v]);
    }
  }
  for (int q = 0; q < kQueries; ++q) {
    for (int v = 0; v < kVectors; ++v) {
      hn::Store(sum[q][v], d, scores + q * ops::kCacheBlock + first + v * kLanes);
    }
  }
}

/// ... of those before `end`, of which there are whole vectors.
template <int kQueries, int kVectors = kKeyVectors<kQueries>, class Head>
HWY_INLINE void score_keys(const float* const* queries, const Head& head, int head_size, int first,
                           int end, float* scores) {
  for (; first + kVectors * kLanes <= end; first += kVectors * kLanes) {
    score_vectors<kQueries, kVectors>(queries, head, head_size, first, scores);
  }
  if constexpr (kVectors > 1) {
    score_keys<kQueries, kVectors / 2>(queries, head, head_size, first, end, scores);
  }
}

/// Which of a block's keys each of some queries sees: [begin[q], end[q]), none before `first` or
/// from `last` on, and all of them what lies in [common_begin, common_end).
struct SeenKeys {
  const int* begin;
  const int* end;
  int first, common_begin, common_end, last;
};

template <int kQueries>
HWY_INLINE SeenKeys seen_keys(const int* begin, const int* end) {
  const auto [first, common_begin] = std::minmax_element(begin, begin + kQueries);
  const auto [common_end, last] = std::minmax_element(end, end + kQueries);
  return {begin, end, *first, *common_begin, *common_end, *last};
}

/// sums[q] += weight of key k * value k for kVectors vectors of the value, from `first` on.
template <bool kAll, int kQueries, int kVectors, class Head>
HWY_INLINE void add_value(const Head& head, int first, const float* HWY_RESTRICT weights, int k,
                          const SeenKeys& keys, FloatVec (&sums)[kQueries][kVectors]) {
  const FloatTag d;
  FloatVec part[kVectors];
  for (int v = 0; v < kVectors; ++v) part[v] = head.value(k, first + v * kLanes);
  for (int q = 0; q < kQueries; ++q) {
    if (!kAll && (k < keys.begin[q] || k >= keys.end[q])) continue;
    const FloatVec weight = hn::Set(d, weights[q * ops::kCacheBlock + k]);
    for (int v = 0; v < kVectors; ++v) sums[q][v] = hn::MulAdd(weight, part[v], sums[q][v]);
  }
}

/// sums[q] = correction[q] * sums[q] + weights[q] values, for kVectors vectors of the head from
/// `first` on.
template <int kQueries, int kVectors, class Head>
HWY_INLINE void add_value_vectors(const Head& head, int first, const float* weights,
                                  const float* corrections, const SeenKeys& keys, float* sums,
                                  int64_t stride) {
  const FloatTag d;
  FloatVec even[kQueries][kVectors], odd[kQueries][kVectors];
  for (int q = 0; q < kQueries; ++q) {
    const FloatVec correction = hn::Set(d, corrections[q]);
    for (int v = 0; v < kVectors; ++v) {
      even[q][v] = hn::Mul(correction, hn::Load(d, sums + q * stride + first + v * kLanes));
      odd[q][v] = hn::Zero(d);
    }
  }
  int k = keys.first / 2 * 2;  // a key is even or odd by its place in the block
  for (; k < std::min(keys.common_begin, keys.last); k += 2) {
    add_value<false>(head, first, weights, k, keys, even);
    add_value<false>(head, first, weights, k + 1, keys, odd);
  }
  for (; k + 2 <= keys.common_end; k += 2) {
    add_value<true>(head, first, weights, k, keys, even);
    add_value<true>(head, first, weights, k + 1, keys, odd);
  }
  for (; k < keys.last; k += 2) {
    add_value<false>(head, first, weights, k, keys, even);
    add_value<false>(head, first, weights, k + 1, keys, odd);
  }
  for (int q = 0; q < kQueries; ++q) {
    for (int v = 0; v < kVectors; ++v) {
      hn::Store(hn::Add(even[q][v], odd[q][v]), d, sums + q * stride + first + v * kLanes);
    }
  }
}

/// ... for all vectors of it, `stride` numbers.
template <int kQueries, int kVectors = kValueVectors<kQueries>, class Head>
HWY_INLINE void add_values(const Head& head, int first, const float* weights,
                           const float* corrections, const SeenKeys& keys, float* sums,
                           int64_t stride) {
  for (; first + kVectors * kLanes <= stride; first += kVectors * kLanes) {
    add_value_vectors<kQueries, kVectors>(head, first, weights, corrections, keys, sums, stride);
  }
  if constexpr (kVectors > 1) {
    add_values<kQueries, kVectors / 2>(head, first, weights, corrections, keys, sums, stride);
  }
}

/// A batch of queries, and what softmax knows of each so far (Milakov and Gimelshein 2018, "Online
/// normalizer calculation for softmax").
class QueryWalk {
 public:
  QueryWalk(const CachedAttentionPlan& plan, const QueryBatch& batch, int kv_head)
      : plan_(plan),
        batch_(batch),
        kv_head_(kv_head),
        size_(plan.layout().head_size),
        vectors_((size_ + kLanes - 1) / kLanes),
        scale_(plan.layout().scale()),
        cap_(plan.layout().score_cap) {
    const int group = plan.group();
    auto row = plan.rows().begin() + batch.first / group;
    for (int j = 0, head = static_cast<int>(batch.first % group); j < batch.count; ++j, ++head) {
      if (head == group) {
        head = 0;
        ++row;
      }
      const int64_t column = (int64_t{kv_head} * group + head) * size_;
      rows_[j] = &*row;
      queries_[j] = row->qkv + column;
      results_[j] = row->out + column;
    }
    std::fill_n(sums_, batch.count * stride(), 0.0f);
    std::fill_n(totals_, batch.count * kLanes, 0.0f);
    maxima_.fill(-std::numeric_limits<float>::infinity());
  }

  void run() {
    const PlannedRow& first = *rows_[0];
    switch (first.context->format) {
      case ops::CacheFormat::kF32:
        attend_context<ops::CacheFormat::kF32>(first);
        break;
      case ops::CacheFormat::kBF16:
        attend_context<ops::CacheFormat::kBF16>(first);
        break;
      case ops::CacheFormat::kQ8:
        attend_context<ops::CacheFormat::kQ8>(first);
        break;
    }
    for (int begin = 0; begin < batch_.count;) begin = attend_self(begin);
  }

  void finish() const {
    const FloatTag d;
    for (int j = 0; j < batch_.count; ++j) {
      const auto total = hn::SumOfLanes(d, hn::Load(d, totals_ + j * kLanes));
      const float* sums = sums_ + j * stride();
      float* out = results_[j];
      for_each_vector(d, static_cast<size_t>(size_), [&](size_t i, auto lanes) HWY_ATTR {
        lanes.store(hn::Div(hn::Load(d, sums + i), total), d, out + i);
      });
    }
  }

 private:
  [[nodiscard]] int64_t stride() const { return int64_t{vectors_} * kLanes; }

  static int keys_of_block(int64_t keys, int64_t block) {
    return static_cast<int>(std::min<int64_t>(keys - block * ops::kCacheBlock, ops::kCacheBlock));
  }

  /// All queries meet the blocks of their context, which are those of row `first`.
  template <ops::CacheFormat kFormat>
  void attend_context(const PlannedRow& first) {
    const int64_t first_block = first.range.context_begin / ops::kCacheBlock;
    for (int64_t b = first_block; b * ops::kCacheBlock < first.range.context_end; ++b) {
      for (int j = 0; j < batch_.count; ++j) {
        seen_begin_[j] = std::max(0, keys_of_block(rows_[j]->range.context_begin, b));
        seen_end_[j] = keys_of_block(rows_[j]->range.context_end, b);
      }
      attend<kFormat>(first.context->blocks[b] + first.context->offset, 0, batch_.count);
    }
  }

  /// Takes query `begin` and those behind it that see the same rows of the pass to them. Returns
  /// the first that does not.
  int attend_self(int begin) {
    constexpr ops::CacheFormat kFormat = ops::CacheFormat::kF32;
    const auto [self, keys] = std::pair(rows_[begin]->self, rows_[begin]->self_keys());
    int end = begin + 1;
    while (end < batch_.count && rows_[end]->self == self) ++end;
    for (int64_t b = 0; b * ops::kCacheBlock < keys; ++b) {
      std::fill(seen_begin_.data() + begin, seen_begin_.data() + end, 0);
      std::fill(seen_end_.data() + begin, seen_end_.data() + end, keys_of_block(keys, b));
      attend<kFormat>(self + b * ops::cache_block_bytes(plan_.layout(), kFormat), begin, end);
    }
    return end;
  }

  /// Queries [j, end) meet a block, of which `layer` is one layer.
  template <ops::CacheFormat kFormat>
  void attend(const std::byte* layer, int j, int end) {
    const typename CachedHeadOfFormat<kFormat>::Type head(
        layer + kv_head_ * ops::cache_head_bytes(size_, kFormat), size_);
    for (; j + 4 <= end; j += 4) attend_together<4>(j, head);
    if (end - j == 3) return attend_together<3>(j, head);
    if (end - j == 2) return attend_together<2>(j, head);
    if (end - j == 1) attend_together<1>(j, head);
  }

  /// Queries [j, j + kQueries) share the loads of keys and values.
  template <int kQueries, class Head>
  HWY_INLINE void attend_together(int j, const Head& head) {
    HWY_ALIGN float weights[kQueries * ops::kCacheBlock];
    float corrections[kQueries];
    const SeenKeys seen = seen_keys<kQueries>(seen_begin_.data() + j, seen_end_.data() + j);
    const int vectors = (seen.last + kLanes - 1) / kLanes;
    score_keys<kQueries>(queries_.data() + j, head, size_, 0, vectors * kLanes, weights);
    for (int q = 0; q < kQueries; ++q) {
      corrections[q] = update_softmax(j + q, vectors, weights + q * ops::kCacheBlock);
    }
    add_values<kQueries>(head, 0, weights, corrections, seen, sums_ + j * stride(), stride());
  }

  /// Scores of query j become weights, 0 of keys that it does not see. Returns the factor that
  /// takes earlier sums to the new maximum.
  HWY_INLINE float update_softmax(int j, int vectors, float* weights) {
    const FloatTag d;
    const auto nothing = hn::Set(d, -std::numeric_limits<float>::infinity());
    const auto scale = hn::Set(d, scale_);
    const auto old_maximum = hn::Set(d, maxima_[j]);
    auto maximum = old_maximum;
    for (int v = 0; v < vectors; ++v) {
      const auto before = [&](int key) HWY_ATTR {
        return hn::FirstN(d, static_cast<size_t>(std::max(0, key - v * kLanes)));
      };
      const auto sees = hn::AndNot(before(seen_begin_[j]), before(seen_end_[j]));
      auto score = hn::Mul(scale, hn::Load(d, weights + v * kLanes));
      if (cap_ > 0) score = SoftCap(d, score, hn::Set(d, cap_));
      const auto seen = hn::IfThenElse(sees, score, nothing);
      hn::Store(seen, d, weights + v * kLanes);
      maximum = hn::Max(maximum, seen);
    }
    maximum = hn::MaxOfLanes(d, maximum);
    // -inf - -inf would be NaN: if every score is -inf, 0 stands in.
    const auto base = hn::IfThenElseZero(hn::Ne(maximum, nothing), maximum);
    const auto correction = Exp(d, hn::Sub(old_maximum, base));
    auto total = hn::Mul(correction, hn::Load(d, totals_ + j * kLanes));
    for (int v = 0; v < vectors; ++v) {
      const auto weight = Exp(d, hn::Sub(hn::Load(d, weights + v * kLanes), base));
      hn::Store(weight, d, weights + v * kLanes);
      total = hn::Add(total, weight);
    }
    hn::Store(total, d, totals_ + j * kLanes);
    maxima_[j] = hn::GetLane(maximum);
    return hn::GetLane(correction);
  }

  const CachedAttentionPlan& plan_;
  const QueryBatch& batch_;
  int kv_head_, size_;
  int vectors_;  // of a head
  float scale_, cap_;
  std::array<const PlannedRow*, kBatchQueries> rows_{};
  std::array<const float*, kBatchQueries> queries_;
  std::array<float*, kBatchQueries> results_;
  std::array<int, kBatchQueries> seen_begin_;       // of the block at hand,
  std::array<int, kBatchQueries> seen_end_;         // keys [begin, end)
  std::array<float, kBatchQueries> maxima_;         // largest score
  HWY_ALIGN float totals_[kBatchQueries * kLanes];  // sum of exp(score - maximum), by lane
  HWY_ALIGN float sums_[kBatchFloats];              // [count, stride] the same times value
};

}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#endif  // include guard
