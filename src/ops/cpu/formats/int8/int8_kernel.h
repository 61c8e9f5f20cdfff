// The per-CPU parts of int8_product.cc: quantising and multiplying.
#pragma once

#include <cstddef>
#include <cstdint>

namespace evo::ops {

/// Inputs that a kernel takes at once: the four bytes of a 32-bit lane.
inline constexpr int64_t kInt8Step = 4;

/// y [rows, out] = float(x W^T) * (x_scales * w_scales).
struct Int8Task {
  const void* x;          ///< [rows, stride] of int8_input_size() each, by int8_quantize_input
  const float* x_scales;  ///< [rows]
  int64_t rows, stride, steps, out;
  const int8_t* w;        ///< [blocks, steps, 32, 4]
  const float* w_scales;  ///< [blocks, 32]
  const int32_t* w_sums;  ///< [blocks, 32] sum of an output's weights
  float* y;
};

/// Sets `to` to whole numbers from -127 to 127 and returns the scale that makes them x [count].
/// `to` has room for `count` rounded up to 64; up to a multiple of four, zeros follow. The scale is
/// NaN if an x is NaN or infinite, and 0 if all are below 2^-100; then all numbers are 0.
float int8_quantize(const float* x, int64_t count, int8_t* to);

/// The same in the form that this CPU's kernel takes x in, of int8_input_size() bytes an element.
float int8_quantize_input(const float* x, int64_t count, void* to);
[[nodiscard]] size_t int8_input_size();

/// Computes blocks [begin, end) of outputs, 32 in a block.
void int8_multiply_blocks(const Int8Task& task, int64_t begin, int64_t end);

}  // namespace evo::ops
