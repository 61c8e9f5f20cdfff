#include "ops/cpu/attention/cached_attention_plan.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "base/threads/parallel.h"

namespace evo::ops {
namespace {

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

int64_t blocks_of(int64_t keys) {
  return divide_up(keys, kCacheBlock);
}

/// Blocks of its context that a row meets: the first, and the one behind the last.
std::pair<int64_t, int64_t> met_blocks(const KeyRange& range) {
  return {range.context_begin / kCacheBlock, blocks_of(range.context_end)};
}

/// Rows of one context and the same blocks of it meet the same keys, though one may see more of the
/// first block or of the last.
bool meet_the_same(const PlannedRow& a, const PlannedRow& b) {
  return a.context == b.context && met_blocks(a.range) == met_blocks(b.range);
}

}  // namespace

CachedAttentionPlan::CachedAttentionPlan(const CachedAttentionCall& call) : call_(call) {
  sort_rows();
  copy_self_keys();
  make_batches();
}

/// Rows that meet the same context become neighbours, and among them those that see the same rows
/// of the pass.
void CachedAttentionPlan::sort_rows() {
  rows_.reserve(call_.ranges.size());
  const float* qkv = call_.qkv.f32();
  float* out = call_.out.f32();
  for (size_t r = 0; r < call_.ranges.size(); ++r) {
    const KeyRange& range = call_.ranges[r];
    rows_.push_back({range, &call_.contexts[call_.sequences[r]], nullptr, qkv, out});
    work_ += 2 * (range.context_end - range.context_begin + rows_.back().self_keys()) *
             call_.layout.q_cols();
    qkv += call_.layout.row_cols();
    out += call_.layout.q_cols();
  }
  std::ranges::sort(rows_, {}, [](const PlannedRow& row) {
    return std::tuple(row.context, met_blocks(row.range), row.range.self_begin, row.range.self_end,
                      row.qkv);
  });
}

void CachedAttentionPlan::copy_self_keys() {
  const int64_t layer = cache_block_bytes(call_.layout, CacheFormat::kF32);
  std::map<std::pair<int32_t, int32_t>, const std::byte*> copies;
  for (PlannedRow& row : rows_) {
    if (row.self_keys() == 0) continue;
    const std::byte*& copy = copies[{row.range.self_begin, row.range.self_end}];
    if (copy == nullptr) {
      const int64_t count = blocks_of(row.self_keys());
      self_blocks_.push_back(tensor::pooled_bytes(count * layer + kCachePadding));
      std::vector<std::byte*> blocks;
      for (int64_t b = 0; b < count; ++b) {
        blocks.push_back(static_cast<std::byte*>(self_blocks_.back().get()) + b * layer);
      }
      write_keys(call_.qkv, call_.layout, row.range.self_begin, row.range.self_end,
                 {blocks, 0, row.self_keys()}, 0);
      copy = blocks.front();
    }
    row.self = copy;
  }
}

void CachedAttentionPlan::make_batches() {
  const int64_t size = batch_size();
  for (auto run = rows_.begin(); run != rows_.end();) {
    const auto end = std::find_if_not(
        run, rows_.end(), [&](const PlannedRow& row) { return meet_the_same(row, *run); });
    const int64_t last = (end - rows_.begin()) * group();
    for (int64_t first = (run - rows_.begin()) * group(); first < last; first += size) {
      batches_.push_back({first, static_cast<int>(std::min(size, last - first))});
    }
    run = end;
  }
}

/// Queries: as many as there is room for, but no more than gives every thread two batches.
int64_t CachedAttentionPlan::batch_size() const {
  constexpr int64_t kLine = kCachePadding / sizeof(float);
  const int64_t lines = divide_up(call_.layout.head_size, kLine);
  const int64_t room = std::min<int64_t>(kBatchQueries, kBatchFloats / (lines * kLine));
  const bool alone = work_ < kSerialWork || threads() == 1;
  const int64_t shares = alone ? 1 : divide_up(2 * threads(), call_.layout.kv_heads);
  const int64_t share = divide_up(std::ssize(rows_) * group(), shares);
  return std::min(divide_up(share, 4) * 4, room);  // four queries share loads
}

}  // namespace evo::ops
