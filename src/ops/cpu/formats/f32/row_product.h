// y = x W^T for few rows: what decoding spends its time on. Every weight is read from memory once,
// and a row of y depends on that row of x alone.
#pragma once

#include <cstddef>
#include <cstdint>

namespace evo::ops {

/// A weight [out, in] in blocks of 32 outputs, [ceil(out / 32), in, 32], padded with zeros.
inline constexpr int64_t kRowProductBlock = 32;
[[nodiscard]] inline int64_t row_product_blocks(int64_t out) {
  return (out + kRowProductBlock - 1) / kRowProductBlock;
}
/// How many blocks a thread must get to be worth waking, by the bytes of a weight.
[[nodiscard]] int64_t row_product_grain(int64_t in, int64_t rows, int64_t weight_bytes);
[[nodiscard]] int64_t row_product_size(int64_t out, int64_t in);  ///< elements
void pack_row_product(const float* weight, int64_t out, int64_t in, float* packed);

/// Row `index` of the packed weight, [in].
void unpack_row(const float* packed, int64_t in, int64_t index, float* row);

/// y [rows, out] = x [rows, in] W^T. Each element of y is one chain of additions over `in` in
/// rising order, whatever else is computed beside it.
void row_product(const float* x, int64_t rows, const float* packed, int64_t out, int64_t in,
                 float* y);

}  // namespace evo::ops
