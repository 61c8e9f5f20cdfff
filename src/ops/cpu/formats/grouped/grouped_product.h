// y = x W^T with weights of 8 or 4 bits in groups: a quarter or an eighth of f32's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ops/cpu/formats/grouped/grouped_layout.h"
#include "ops/weight.h"

namespace evo::ops {

struct InputTile;

/// How a product is computed: whatever the kernel, its bits are the same.
enum class GroupedKernel { kVectors, kTiles };
[[nodiscard]] bool has_grouped_tiles();

/// A matrix in groups along its rows, which has parts of several formats.
///
/// A product takes whole numbers for x, with a scale for every 32 of a row (largest_input()). A row
/// of y depends on that row of x alone, and has the same bits on every CPU and for any number of
/// threads. A NaN or an infinity in a row of x makes all of its row of y NaN.
class GroupedWeight final : public PackedWeight {
 public:
  GroupedWeight(std::span<const GroupedRows> parts, int64_t in);

  [[nodiscard]] size_t bytes() const override;

  /// multiply() with this kernel, which the CPU must have.
  void multiply_by(GroupedKernel kernel, const float* x, int64_t rows, float* y) const;

 private:
  /// Rows of one format.
  struct Section {
    GroupLayout layout;
    int64_t first, rows;              ///< of the matrix
    int64_t first_block, blocks;      ///< of all; of 32 rows, the last one padded with zeros
    std::shared_ptr<uint8_t> memory;  ///< [blocks, GroupLayout::block_bytes()]
  };

  void multiply_rows(const float* x, int64_t rows, float* y) const override;
  /// The rows of y of the sections of `bits`: x is rounded for these.
  void multiply_width(int64_t bits, GroupedKernel kernel, const float* x, int64_t rows,
                      float* y) const;
  void multiply_vectors(int64_t bits, const float* x, int64_t rows, float* y) const;
  void multiply_tiles(int64_t bits, const float* x, int64_t rows, float* y) const;
  void read_row(int64_t index, float* values) const override;
  void pack(const GroupedRows& rows, const Section& section) const;
  void fill_tiles(const float* x, int64_t rows, int64_t first, int64_t bits, InputTile* to) const;
  /// Calls multiply(bits) for the bits that there are.
  template <class Multiply>
  void for_each_width(const Multiply& multiply) const;
  /// The rows of y of these sections from x in groups or tiles; threads share the blocks.
  template <class Input>
  void multiply_blocks(int64_t bits, const Input* x, int64_t rows, float* y) const;

  int64_t groups_;  ///< of a row, the last one padded with zeros
  std::vector<Section> sections_;
};

}  // namespace evo::ops
