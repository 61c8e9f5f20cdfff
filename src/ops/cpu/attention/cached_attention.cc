#include "ops/cached_attention.h"

#include "ops/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention/cached_attention.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/attention/cached_attention-inl.h"
#include "ops/cpu/attention/cached_attention_plan.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

void attend_batch(const CachedAttentionPlan& plan, const QueryBatch& batch, int kv_head) {
  QueryWalk walk(plan, batch, kv_head);
  walk.run();
  walk.finish();
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <vector>

#include "base/threads/parallel.h"
#include "ops/cpu/rows.h"

namespace evo::ops::cpu {
namespace {

HWY_EXPORT(attend_batch);

void check_call(const CachedAttentionCall& call) {
  const HeadLayout& layout = call.layout;
  EVO_CHECK(layout.head_size > 0 && layout.head_size <= ops::kMaxHeadSize);
  EVO_CHECK(layout.kv_heads > 0 && layout.query_heads > 0);
  EVO_CHECK(layout.query_heads % layout.kv_heads == 0);
  EVO_CHECK(call.qkv.shape().size() == 2 && call.qkv.shape()[1] == layout.row_cols());
  const int64_t rows = call.qkv.rows();
  EVO_CHECK(std::ssize(call.ranges) == rows && std::ssize(call.sequences) == rows);
  for (int64_t r = 0; r < rows; ++r) {
    const auto [context_begin, context_end, self_begin, self_end] = call.ranges[r];
    const int32_t sequence = call.sequences[r];
    EVO_CHECK(0 <= sequence && sequence < std::ssize(call.contexts));
    const CachedKeys& context = call.contexts[sequence];
    EVO_CHECK(context.length <= std::ssize(context.blocks) * ops::kCacheBlock);
    EVO_CHECK(0 <= context_begin && context_begin <= context_end);
    EVO_CHECK(context_end <= context.length);
    EVO_CHECK(0 <= self_begin && self_begin <= self_end && self_end <= rows);
    EVO_CHECK(context_begin < context_end || self_begin < self_end);
  }
}

/// One kv head of write_keys().
void write_head(const tensor::Tensor& qkv, const HeadLayout& layout, int64_t begin, int64_t end,
                const CachedKeys& cached, int64_t token, int64_t head) {
  for (int64_t r = begin; r < end; ++r, ++token) {
    const float* key = qkv.row(r) + layout.q_cols() + head * layout.head_size;
    CachedToken(cached, layout, token, head).write(key, key + layout.kv_cols());
  }
}

}  // namespace

void write_keys(const tensor::Tensor& qkv, const HeadLayout& layout, int64_t begin, int64_t end,
                const CachedKeys& cached, int64_t token) {
  EVO_CHECK(qkv.shape().size() == 2 && qkv.shape()[1] == layout.row_cols());
  EVO_CHECK(0 <= begin && begin <= end && end <= qkv.rows());
  EVO_CHECK(0 <= token && token + end - begin <= std::ssize(cached.blocks) * ops::kCacheBlock);
  // By head, whose piece of a block stays in the first cache while its keys are scattered.
  ops::for_each_row(layout.kv_heads, 2 * (end - begin) * layout.head_size, [&](int64_t head) {
    write_head(qkv, layout, begin, end, cached, token, head);
  });
}

tensor::Tensor cached_attention(const tensor::Tape& tape, const tensor::Tensor& qkv,
                                const HeadLayout& layout, std::span<const KeyRange> ranges,
                                std::span<const int32_t> sequences,
                                std::span<const CachedKeys> contexts) {
  EVO_CHECK(!tape.recording());
  const CachedAttentionCall call{layout,   ranges, sequences,
                                 contexts, qkv,    tape.output({qkv.rows(), layout.q_cols()})};
  check_call(call);
  const CachedAttentionPlan plan(call);
  const auto attend = HWY_DYNAMIC_DISPATCH(attend_batch);
  const int64_t batches = std::ssize(plan.batches());
  // One head's batches in a row: they share its keys and values, which then stay in cache.
  parallel_items(batches * layout.kv_heads, plan.work(), [&](int64_t item) {
    attend(plan, plan.batches()[item % batches], static_cast<int>(item / batches));
  });
  return call.out;
}

}  // namespace evo::ops::cpu
#endif  // HWY_ONCE
