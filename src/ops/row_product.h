// y = x W^T by a kernel of our own, for CPUs on which oneDNN's result for a row depends on how many
// rows share the call (see PackedWeight).
#pragma once

#include <cstddef>
#include <cstdint>

namespace evo {

/// A weight [out, in] in blocks of 32 outputs, [ceil(out / 32), in, 32], padded with zeros. Type is
/// float or uint16_t (bf16).
constexpr int64_t kRowProductBlock = 32;
[[nodiscard]] int64_t row_product_size(int64_t out, int64_t in);  ///< elements
template <class Type>
void pack_row_product(const Type* weight, int64_t out, int64_t in, Type* packed);

/// y [rows, out] = x [rows, in] W^T. Each element of y is one chain of additions over `in` in
/// rising order, whatever else is computed beside it.
void row_product(const float* x, int64_t rows, const float* packed, int64_t out, int64_t in,
                 float* y);
void row_product(const float* x, int64_t rows, const uint16_t* packed, int64_t out, int64_t in,
                 float* y);

}  // namespace evo
