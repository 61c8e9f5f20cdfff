// How attention over cached keys cuts up its work. Indices only, no arithmetic on values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ops/cached_attention.h"

namespace evo::ops {

/// One call of cached_attention().
struct CachedAttentionCall {
  HeadLayout layout;
  std::span<const KeyRange> ranges;      // [N]
  std::span<const int32_t> sequences;    // [N]
  std::span<const CachedKeys> contexts;  // by sequence
  tensor::Tensor qkv;                    // [N, row_cols]
  tensor::Tensor out;                    // [N, H e]
};

/// A row of the pass and what it sees.
struct PlannedRow {
  KeyRange range;
  const CachedKeys* context;
  const std::byte* self;  ///< rows [self_begin, self_end): one layer of blocks in f32, in a row
  const float* qkv;       ///< [row_cols]
  float* out;             ///< [H e]

  [[nodiscard]] int64_t self_keys() const { return range.self_end - range.self_begin; }
};

/// Queries of one kv head that meet each block of their common context one after the other: it then
/// comes from the first cache.
struct QueryBatch {
  int64_t first;
  int count;
};

inline constexpr int kBatchQueries = 32;
inline constexpr int kMaxHeadSize = 1024;
/// Room for a batch's sums: fewer queries of large heads make a batch.
inline constexpr int64_t kBatchFloats = 8 * kMaxHeadSize;

/// All work of a call, the same for every kv head. Queries are numbered by planned row, then by
/// head in group.
class CachedAttentionPlan {
 public:
  /// Copies the rows of the pass that are seen into blocks of the plan's. `call` must live as long.
  explicit CachedAttentionPlan(const CachedAttentionCall& call);

  [[nodiscard]] const HeadLayout& layout() const { return call_.layout; }
  /// Query heads per kv head.
  [[nodiscard]] int group() const { return call_.layout.query_heads / call_.layout.kv_heads; }
  [[nodiscard]] std::span<const PlannedRow> rows() const { return rows_; }
  [[nodiscard]] std::span<const QueryBatch> batches() const { return batches_; }
  [[nodiscard]] int64_t work() const { return work_; }  ///< multiply-adds

 private:
  void sort_rows();
  void copy_self_keys();
  void make_batches();
  [[nodiscard]] int64_t batch_size() const;

  const CachedAttentionCall& call_;
  std::vector<PlannedRow> rows_;
  std::vector<QueryBatch> batches_;
  std::vector<std::shared_ptr<void>> self_blocks_;
  int64_t work_ = 0;
};

}  // namespace evo::ops
