#include "ops/attention.h"

#include "ops/cpu/cpu.h"

#include <utility>
#include <vector>

#include "ops/cpu/attention/attention_plan.h"

namespace evo::ops::cpu {
namespace {

void check_ranges(std::span<const KeyRange> ranges, int64_t rows, bool context_in_pass) {
  EVO_CHECK(std::ssize(ranges) == rows);
  for (const KeyRange& range : ranges) {
    const auto [context_begin, context_end, self_begin, self_end] = range;
    EVO_CHECK(0 <= context_begin && context_begin <= context_end);
    EVO_CHECK(!context_in_pass || context_end <= rows);
    EVO_CHECK(0 <= self_begin && self_begin <= self_end && self_end <= rows);
    EVO_CHECK(context_begin < context_end || self_begin < self_end);
  }
}

}  // namespace

tensor::Tensor attention(tensor::Tape& tape, const tensor::Tensor& qkv, const HeadLayout& layout,
                         std::span<const KeyRange> ranges, const KeyValueView* context) {
  EVO_CHECK(layout.head_size > 0 && layout.kv_heads > 0 && layout.query_heads > 0);
  EVO_CHECK(layout.query_heads % layout.kv_heads == 0);
  EVO_CHECK(qkv.shape().size() == 2 && qkv.shape()[1] == layout.row_cols());
  EVO_CHECK(context == nullptr || !tape.recording());
  const int64_t rows = qkv.shape()[0];
  check_ranges(ranges, rows, context == nullptr);

  const float* keys = qkv.f32() + layout.q_cols();
  const KeyValueView self{keys, keys + layout.kv_cols(), layout.row_cols()};
  const AttentionCall call{layout, ranges, qkv.f32(), context ? *context : self, self};
  const tensor::Tensor out = tape.output({rows, layout.q_cols()});
  const tensor::Tensor log_sums =
      tape.recording() ? tensor::Tensor::empty({rows, layout.query_heads}) : tensor::Tensor();
  ops::attention_forward(call, out.f32(), log_sums.defined() ? log_sums.f32() : nullptr);

  if (tape.recording()) {
    tape.record([=, kept = std::vector<KeyRange>(ranges.begin(), ranges.end())] {
      if (!out.has_grad() || !qkv.wants_grad()) return;
      const AttentionCall same{layout, kept, qkv.f32(), self, self};
      ops::attention_backward(same,
                              {out.f32(), log_sums.f32(), out.grad().f32(), qkv.grad().f32()});
    });
  }
  return out;
}

}  // namespace evo::ops::cpu
