// y = x W^T with weights and x in bf16 and sums in f32: half of f32's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "ops/weight.h"

namespace evo::ops {

/// How the products are computed. All of them read the same layout of weights, and in all of them
/// an element of y is one fixed order of additions along `in`: its bits depend on its row of x
/// alone. Between kernels the order differs, and those of the CPU take denormal numbers as zero.
enum class BF16Kernel {
  kWidened,  ///< as f32, on every CPU
  kDots,     ///< AVX512-BF16: dot products of pairs of inputs
  kTiles,    ///< AMX: products of tiles, 16 rows x 32 inputs by 32 inputs x 16 outputs
};

/// Whether this CPU can, and isa() allows it.
[[nodiscard]] bool has_bf16_kernel(BF16Kernel kernel);

/// The fastest here: of what isa() and the CPU's maker say, nothing else.
[[nodiscard]] BF16Kernel best_bf16_kernel();

/// A matrix [out, in] of bf16 in blocks of 32 outputs and pairs of inputs,
/// [ceil(out / 32), in / 2, 32, 2], `in` padded with zeros to whole tiles.
class BF16Weight final : public PackedWeight {
 public:
  BF16Weight(const uint16_t* weight, int64_t out, int64_t in,
             BF16Kernel kernel = best_bf16_kernel());

  [[nodiscard]] size_t bytes() const override;

 private:
  void multiply_rows(const float* x, int64_t rows, float* y) const override;
  void read_row(int64_t index, float* values) const override;
  void pack_block(const uint16_t* weight, int64_t block);
  [[nodiscard]] std::shared_ptr<void> inputs(const float* x, int64_t rows, int64_t stride) const;

  int64_t steps_;  ///< pairs of inputs, with those that are padding
  BF16Kernel kernel_;
  std::shared_ptr<uint16_t> weights_;
};

}  // namespace evo::ops
