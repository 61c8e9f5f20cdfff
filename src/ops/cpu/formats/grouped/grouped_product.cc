#include "ops/cpu/formats/grouped/grouped_product.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <vector>

#include "base/threads/parallel.h"
#include "ops/cpu/formats/f32/row_product.h"
#include "ops/cpu/formats/grouped/grouped_kernel.h"
#include "ops/cpu/formats/weight_memory.h"
#include "ops/machine.h"
#include "tensor/tensor.h"

namespace evo::ops {
namespace {

/// From so many rows on tiles are faster.
constexpr int64_t rows_for_tiles(int64_t bits) {
  return bits == 8 ? 9 : 7;
}

}  // namespace

bool has_grouped_tiles() {
  return isa() >= Isa::kAmx && grouped_inputs_in_parts();
}

GroupedWeight::GroupedWeight(std::span<const GroupedRows> parts, int64_t in)
    : PackedWeight(total_rows(parts), in), groups_(groups_of_row(in)) {
  int64_t row = 0, block = 0;
  for (const GroupedRows& part : parts) {
    const GroupLayout layout(part.format);
    const int64_t blocks = row_product_blocks(part.rows);
    const auto bytes = static_cast<size_t>(blocks * layout.block_bytes(groups_));
    sections_.push_back({layout, row, part.rows, block, blocks,
                         std::static_pointer_cast<uint8_t>(weight_bytes(bytes))});
    pack(part, sections_.back());
    row += part.rows;
    block += blocks;
  }
}

void GroupedWeight::pack(const GroupedRows& rows, const Section& section) const {
  const GroupLayout& layout = section.layout;
  const int64_t block_bytes = layout.block_bytes(groups_);
  parallel_for(section.blocks, 1, [&](int64_t begin, int64_t end) {
    std::memset(section.memory.get() + begin * block_bytes, 0, (end - begin) * block_bytes);
    std::vector<WeightGroup> groups(groups_);
    for (int64_t o = begin * kRowProductBlock; o < std::min(rows.rows, end * kRowProductBlock);
         ++o) {
      rows.read(o, groups);
      uint8_t* const block = section.memory.get() + o / kRowProductBlock * block_bytes;
      for (int64_t g = 0; g < groups_; ++g)
        layout.write(groups[g], groups_, g, o % kRowProductBlock, block);
    }
  });
}

template <class Input>
void GroupedWeight::multiply_blocks(int64_t bits, const Input* x, int64_t rows, float* y) const {
  const int64_t blocks = sections_.back().first_block + sections_.back().blocks;
  parallel_for(blocks, row_product_grain(in(), rows, 1), [&](int64_t begin, int64_t end) {
    for (const Section& section : sections_) {
      const int64_t first = std::max(begin - section.first_block, int64_t{0});
      const int64_t last = std::min(end - section.first_block, section.blocks);
      if (first >= last || section.layout.format().bits != bits) continue;
      const GroupedTask<Input> task = {x,
                                       rows,
                                       groups_,
                                       section.rows,
                                       section.layout,
                                       section.memory.get(),
                                       y + section.first,
                                       out()};
      grouped_multiply(task, first, last);
    }
  });
}

/// Sections by the bits of their weights, since x is rounded for these.
template <class Multiply>
void GroupedWeight::for_each_width(const Multiply& multiply) const {
  for (const int64_t bits : {8, 4}) {
    const auto is = [&](const Section& section) { return section.layout.format().bits == bits; };
    if (std::ranges::any_of(sections_, is)) multiply(bits);
  }
}

void GroupedWeight::multiply_rows(const float* x, int64_t rows, float* y) const {
  for_each_width([&](int64_t bits) {
    const bool tiles = rows >= rows_for_tiles(bits) && has_grouped_tiles();
    multiply_width(bits, tiles ? GroupedKernel::kTiles : GroupedKernel::kVectors, x, rows, y);
  });
}

void GroupedWeight::multiply_by(GroupedKernel kernel, const float* x, int64_t rows,
                                float* y) const {
  for_each_width([&](int64_t bits) { multiply_width(bits, kernel, x, rows, y); });
}

void GroupedWeight::multiply_width(int64_t bits, GroupedKernel kernel, const float* x, int64_t rows,
                                   float* y) const {
  if (kernel == GroupedKernel::kTiles) {
    multiply_tiles(bits, x, rows, y);
  } else {
    multiply_vectors(bits, x, rows, y);
  }
}

void GroupedWeight::multiply_vectors(int64_t bits, const float* x, int64_t rows, float* y) const {
  const auto memory =
      tensor::pooled_bytes(static_cast<size_t>(rows * groups_) * sizeof(InputGroup));
  auto* const groups = static_cast<InputGroup*>(memory.get());
  parallel_for(rows, 65536 / in() + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      grouped_inputs(x + r * in(), in(), bits, groups + r * groups_);
  });
  multiply_blocks(bits, groups, rows, y);
}

void GroupedWeight::multiply_tiles(int64_t bits, const float* x, int64_t rows, float* y) const {
  const int64_t tiles = (rows + kGroupedTileRows - 1) / kGroupedTileRows;
  const auto memory =
      tensor::pooled_bytes(static_cast<size_t>(tiles * groups_) * sizeof(InputTile));
  auto* const inputs = static_cast<InputTile*>(memory.get());
  parallel_for(tiles, 65536 / (in() * kGroupedTileRows) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      fill_tiles(x, rows, t * kGroupedTileRows, bits, inputs + t * groups_);
  });
  multiply_blocks(bits, inputs, rows, y);
}

/// Rows `first` .. of x in the groups of a tile each; what is beyond the last one is zeros.
void GroupedWeight::fill_tiles(const float* x, int64_t rows, int64_t first, int64_t bits,
                               InputTile* to) const {
  std::vector<InputGroup> row(groups_);
  for (int64_t r = 0; r < kGroupedTileRows; ++r) {
    if (first + r < rows) {
      grouped_inputs(x + (first + r) * in(), in(), bits, row.data());
    } else {
      std::ranges::fill(row, InputGroup{});
    }
    for (int64_t g = 0; g < groups_; ++g) put_into_tile(row[g], r, to[g]);
  }
}

void GroupedWeight::read_row(int64_t index, float* values) const {
  const auto after = std::ranges::upper_bound(sections_, index, {}, &Section::first);
  const Section& section = *std::prev(after);
  const int64_t row = index - section.first;
  const uint8_t* const block =
      section.memory.get() + row / kRowProductBlock * section.layout.block_bytes(groups_);
  for (int64_t g = 0; g < groups_; ++g) {
    const WeightGroup group = section.layout.read(block, groups_, g, row % kRowProductBlock);
    const int64_t count = std::min(kGroupInputs, in() - g * kGroupInputs);
    for (int64_t i = 0; i < count; ++i) values[g * kGroupInputs + i] = group.weight(i);
  }
}

size_t GroupedWeight::bytes() const {
  int64_t bytes = 0;
  for (const Section& section : sections_)
    bytes += section.blocks * section.layout.block_bytes(groups_);
  return static_cast<size_t>(bytes);
}

}  // namespace evo::ops
