#include "ops/cpu/formats/f32/float_weight.h"

#include "ops/cpu/formats/f32/row_product.h"
#include "ops/cpu/formats/weight_memory.h"

namespace evo::ops {

FloatWeight::FloatWeight(const float* weight, int64_t out, int64_t in)
    : PackedWeight(out, in), data_(weight_bytes(bytes())) {
  pack_row_product(weight, out, in, packed());
}

size_t FloatWeight::bytes() const {
  return static_cast<size_t>(row_product_size(out(), in())) * sizeof(float);
}

void FloatWeight::multiply_rows(const float* x, int64_t rows, float* y) const {
  row_product(x, rows, packed(), out(), in(), y);
}

void FloatWeight::read_row(int64_t index, float* values) const {
  unpack_row(packed(), in(), index, values);
}

}  // namespace evo::ops
