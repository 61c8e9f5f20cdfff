// Softmax attention over per-row key ranges, forward and gradient, without a score matrix.
#pragma once

#include <cstdint>
#include <span>

#include "ops/rope.h"
#include "tensor/tape.h"
#include "tensor/tensor.h"

namespace evo::ops {

/// Which keys one query row sees: context rows [context_begin, context_end), then rows
/// [self_begin, self_end) of the same pass. Either may be empty, not both.
struct KeyRange {
  int32_t context_begin = 0;
  int32_t context_end = 0;
  int32_t self_begin = 0;
  int32_t self_end = 0;
};

/// Keys and values that a decoder kept: kv head g's key of context row r is the head_size floats
/// at keys + r * row_stride + g * head_size, its value likewise.
struct KeyValueView {
  const float* keys = nullptr;
  const float* values = nullptr;
  int64_t row_stride = 0;  ///< floats between consecutive rows
};

/// softmax(s(q k^T)) v per query head, with the scores s of HeadLayout; query heads share kv heads
/// in equal groups. qkv [N, (H + 2G) e] holds q | k | v per row; the result is [N, H e]. Context
/// rows are rows of `context`, or of qkv itself if `context` is null (a recording tape needs that:
/// a view has no gradient).
///
/// Row r's result is a function of its own q and of the keys and values it sees, in order, bit for
/// bit: neither the other rows of the call, nor where its keys are stored, nor the number of
/// threads can change it, and a NaN in a row it does not see cannot reach it. (The bits may depend
/// on the SIMD target.) The gradient is independent of the number of threads too, but sums over
/// rows.
tensor::Tensor attention(tensor::Tape& tape, const tensor::Tensor& qkv, const HeadLayout& layout,
                         std::span<const KeyRange> ranges, const KeyValueView* context);

}  // namespace evo::ops
