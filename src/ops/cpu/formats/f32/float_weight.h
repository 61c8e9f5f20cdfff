// A weight in f32, packed for row_product.
#pragma once

#include <cstdint>
#include <memory>

#include "ops/weight.h"

namespace evo::ops {

class FloatWeight final : public PackedWeight {
 public:
  FloatWeight(const float* weight, int64_t out, int64_t in);

  [[nodiscard]] size_t bytes() const override;

 private:
  void multiply_rows(const float* x, int64_t rows, float* y) const override;
  void read_row(int64_t index, float* values) const override;
  [[nodiscard]] float* packed() const { return static_cast<float*>(data_.get()); }

  std::shared_ptr<void> data_;
};

}  // namespace evo::ops
