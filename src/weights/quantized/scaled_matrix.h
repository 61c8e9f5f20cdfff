// Matrices of 8-bit numbers, F8_E4M3 or I8, each of which is multiplied by the scale of its block.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "weights/array_source.h"
#include "weights/quantized/quantization.h"

namespace evo::weights {

class ScaledMatrix {
 public:
  /// `weight` [out, in] with `scales`: one, one for each output, or [out / rows, in / cols] of
  /// blocks, the last of which may be smaller. Throws Error if the scales are missing or have
  /// another shape. `source` must outlive the matrix.
  ScaledMatrix(const ArraySource& source, const TensorInfo& weight, const std::string& scales,
               const Quantization& how);

  [[nodiscard]] const std::vector<int64_t>& shape() const { return weight_.shape; }
  /// [out, in]
  void read(std::span<float> values) const;

 private:
  const ArraySource& source_;
  const TensorInfo& weight_;
  const TensorInfo& scales_;
  std::array<int64_t, 2> block_;
};

}  // namespace evo::weights
