// y = x W^T with weights of 8 or 4 bits in groups: a quarter or an eighth of f32's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "ops/cpu/formats/grouped/grouped_kernel.h"
#include "ops/weight.h"

namespace evo::ops {

/// How a product is computed: whatever the kernel, its bits are the same.
enum class GroupedKernel { kVectors, kTiles };
[[nodiscard]] bool has_grouped_tiles();

/// A matrix [out, in] in groups along its rows; see weight_group().
///
/// A product takes x in 15 bits, with a scale for every 32 of a row (kLargestInput). A row of y
/// depends on that row of x alone, and has the same bits on every CPU and for any number of
/// threads. A NaN or an infinity in a row of x makes all of its row of y NaN.
class GroupedWeight final : public PackedWeight {
 public:
  /// Throws Error as weight_group() does.
  GroupedWeight(const float* weight, int64_t out, int64_t in, int64_t bits);
  /// The same of numbers in bf16.
  GroupedWeight(const uint16_t* weight, int64_t out, int64_t in, int64_t bits);

  [[nodiscard]] size_t bytes() const override;

  /// multiply() with this kernel, which the CPU must have.
  void multiply_by(GroupedKernel kernel, const float* x, int64_t rows, float* y) const;

 private:
  void multiply_rows(const float* x, int64_t rows, float* y) const override;
  void multiply_vectors(const float* x, int64_t rows, float* y) const;
  void multiply_tiles(const float* x, int64_t rows, float* y) const;
  void read_row(int64_t index, float* values) const override;
  template <class Number>
  void pack(const Number* weight);
  void pack_group(const float* group, int64_t output, uint8_t* to) const;

  GroupLayout layout_;
  int64_t groups_;                   ///< of a row, the last one padded with zeros
  std::shared_ptr<uint8_t> memory_;  ///< [blocks of 32 outputs, groups, GroupLayout::bytes()]
};

}  // namespace evo::ops
