// y = x W^T with 8-bit weights and 8-bit x: a quarter of f32's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "ops/weight.h"

namespace evo::ops {

/// A matrix [out, in] as whole numbers from -127 to 127 times one scale per row (output), rounded
/// to nearest even: an element is off by at most half its row's scale, max |w| / 254.
///
/// A product quantises x in the same way, each row by itself, so that a row of y depends on that
/// row of x alone. Sums are exact, so y = float(sum) * (scale of x's row * scale of the output) has
/// the same bits on every CPU and for any number of threads. A row of x with a NaN or an infinity
/// gets a NaN for its scale: all of its row of y is NaN.
class Int8Weight final : public PackedWeight {
 public:
  /// Throws Error if `in` is so large (66,000) that a sum could exceed 32 bits.
  Int8Weight(const float* weight, int64_t out, int64_t in);
  /// The same of numbers in bf16.
  Int8Weight(const uint16_t* weight, int64_t out, int64_t in);

  [[nodiscard]] size_t bytes() const override;

 private:
  void multiply_rows(const float* x, int64_t rows, float* y) const override;
  void read_row(int64_t index, float* values) const override;
  template <class Number>
  void pack(const Number* weight);
  template <class Number>
  void pack_block(const Number* weight, int64_t block);

  int64_t steps_;                 ///< fours of inputs, the last one padded with zeros
  std::shared_ptr<void> memory_;  ///< of the arrays below
  int8_t* weights_;               ///< [blocks, steps, 32, 4], 32 outputs in a block
  float* scales_;                 ///< [blocks, 32]
  int32_t* sums_;                 ///< [blocks, 32] sum of an output's weights
};

}  // namespace evo::ops
