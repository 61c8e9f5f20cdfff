// Softmax attention for decoding: few rows, keys and values in blocks.
//
// attention() puts a query in each SIMD lane, which is right for training but leaves most lanes
// idle when a pass has a handful of rows. Here keys are the lanes.
#pragma once

#include <cstdint>
#include <span>

#include "ops/attention.h"
#include "ops/cached_keys.h"

namespace evo::ops {

/// Writes keys and values of rows [begin, end) of qkv [N, (H + 2G) e] as tokens `token`,
/// token + 1 .. (CachedToken).
void write_keys(const tensor::Tensor& qkv, const HeadLayout& layout, int64_t begin, int64_t end,
                const CachedKeys& cached, int64_t token);

/// softmax(s(q k^T)) v [N, H e] as attention() has it, where the context of row r is
/// contexts[sequences[r]]. Rows of the pass are seen as they are, in f32. No gradient: the tape
/// must not record.
///
/// Row r's result is a function of its own q, of the keys and values it sees, in order, and of the
/// place in a block where its context begins, bit for bit: neither the other rows and sequences of
/// the call, nor where blocks lie in memory, nor the number of threads can change it, and NaN in
/// what it does not see cannot reach it. (The bits may depend on the SIMD target and are not those
/// of attention().)
tensor::Tensor cached_attention(const tensor::Tape& tape, const tensor::Tensor& qkv,
                                const HeadLayout& layout, std::span<const KeyRange> ranges,
                                std::span<const int32_t> sequences,
                                std::span<const CachedKeys> contexts);

}  // namespace evo::ops
