#include "ops/cpu/formats/grouped/grouped_product.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "base/float_formats.h"
#include "base/threads/parallel.h"
#include "ops/cpu/formats/f32/row_product.h"
#include "ops/cpu/formats/weight_memory.h"
#include "ops/machine.h"
#include "tensor/tensor.h"

namespace evo::ops {
namespace {

/// From so many rows on tiles are faster.
constexpr int64_t kRowsForTiles = 9;

}  // namespace

bool has_grouped_tiles() {
  return isa() >= Isa::kAmx && grouped_inputs_in_parts();
}

GroupedWeight::GroupedWeight(const float* weight, int64_t out, int64_t in, int64_t bits)
    : PackedWeight(out, in),
      layout_(group_layout(bits)),
      groups_((in + kGroupInputs - 1) / kGroupInputs) {
  pack(weight);
}

GroupedWeight::GroupedWeight(const uint16_t* weight, int64_t out, int64_t in, int64_t bits)
    : PackedWeight(out, in),
      layout_(group_layout(bits)),
      groups_((in + kGroupInputs - 1) / kGroupInputs) {
  pack(weight);
}

template <class Number>
void GroupedWeight::pack(const Number* weight) {
  memory_ = std::static_pointer_cast<uint8_t>(weight_bytes(bytes()));
  parallel_for(row_product_blocks(out()), 1, [&](int64_t begin, int64_t end) {
    const int64_t block_bytes = groups_ * layout_.bytes();
    std::memset(memory_.get() + begin * block_bytes, 0, (end - begin) * block_bytes);
    for (int64_t o = begin * kRowProductBlock; o < std::min(out(), end * kRowProductBlock); ++o) {
      uint8_t* const to = memory_.get() + o / kRowProductBlock * block_bytes;
      for (int64_t g = 0; g < groups_; ++g) {
        std::array<float, kGroupInputs> group{};
        const Number* const from = weight + o * in() + g * kGroupInputs;
        const int64_t count = std::min(kGroupInputs, in() - g * kGroupInputs);
        if constexpr (std::is_same_v<Number, float>) {
          std::copy_n(from, count, group.begin());
        } else {
          std::transform(from, from + count, group.begin(), from_bf16);
        }
        pack_group(group.data(), o % kRowProductBlock, to + g * layout_.bytes());
      }
    }
  });
}

void GroupedWeight::pack_group(const float* group, int64_t output, uint8_t* to) const {
  const WeightGroup best = weight_group(group, layout_.bits);
  uint8_t* const halves = to + layout_.weight_bytes() + output * int64_t{sizeof(uint16_t)};
  std::memcpy(halves, &best.scale, sizeof(best.scale));
  if (layout_.has_minimum())
    std::memcpy(halves + GroupLayout::kHalvesBytes, &best.minimum, sizeof(best.minimum));
  for (int64_t i = 0; i < kGroupInputs; ++i) {
    const auto value = static_cast<unsigned>(best.values[i] + layout_.offset);
    uint8_t& byte = to[layout_.byte_of(output, i)];
    byte = static_cast<uint8_t>(byte | value << layout_.shift_of(i));
  }
}

void GroupedWeight::multiply_rows(const float* x, int64_t rows, float* y) const {
  multiply_by(rows >= kRowsForTiles && has_grouped_tiles() ? GroupedKernel::kTiles
                                                           : GroupedKernel::kVectors,
              x, rows, y);
}

void GroupedWeight::multiply_by(GroupedKernel kernel, const float* x, int64_t rows,
                                float* y) const {
  if (kernel == GroupedKernel::kTiles) {
    multiply_tiles(x, rows, y);
  } else {
    multiply_vectors(x, rows, y);
  }
}

void GroupedWeight::multiply_vectors(const float* x, int64_t rows, float* y) const {
  const auto memory =
      tensor::pooled_bytes(static_cast<size_t>(rows * groups_) * sizeof(InputGroup));
  auto* const groups = static_cast<InputGroup*>(memory.get());
  parallel_for(rows, 65536 / in() + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) grouped_inputs(x + r * in(), in(), groups + r * groups_);
  });
  const GroupedTask task = {groups, rows, groups_, out(), memory_.get(), y};
  const auto multiply_blocks = layout_.bits == 8 ? grouped_multiply_8 : grouped_multiply_4;
  parallel_for(row_product_blocks(out()), row_product_grain(in(), rows, 1),
               [&](int64_t begin, int64_t end) { multiply_blocks(task, begin, end); });
}

void GroupedWeight::multiply_tiles(const float* x, int64_t rows, float* y) const {
  const int64_t tiles = (rows + kGroupedTileRows - 1) / kGroupedTileRows;
  const auto memory =
      tensor::pooled_bytes(static_cast<size_t>(tiles * groups_) * sizeof(InputTile));
  auto* const inputs = static_cast<InputTile*>(memory.get());
  parallel_for(tiles, 65536 / (in() * kGroupedTileRows) + 1, [&](int64_t begin, int64_t end) {
    std::vector<InputGroup> row(groups_);
    for (int64_t r = begin * kGroupedTileRows; r < end * kGroupedTileRows; ++r) {
      if (r < rows) {
        grouped_inputs(x + r * in(), in(), row.data());
      } else {
        std::ranges::fill(row, InputGroup{});
      }
      InputTile* const to = inputs + r / kGroupedTileRows * groups_;
      for (int64_t g = 0; g < groups_; ++g) put_into_tile(row[g], r % kGroupedTileRows, to[g]);
    }
  });
  const TiledTask task = {inputs, rows, groups_, out(), memory_.get(), y};
  const auto multiply_blocks =
      layout_.bits == 8 ? grouped_multiply_tiles_8 : grouped_multiply_tiles_4;
  parallel_for(row_product_blocks(out()), row_product_grain(in(), rows, 1),
               [&](int64_t begin, int64_t end) { multiply_blocks(task, begin, end); });
}

void GroupedWeight::read_row(int64_t index, float* values) const {
  const uint8_t* const block = memory_.get() + index / kRowProductBlock * groups_ * layout_.bytes();
  const int64_t output = index % kRowProductBlock;
  for (int64_t k = 0; k < in(); ++k) {
    const uint8_t* const group = block + k / kGroupInputs * layout_.bytes();
    const int64_t value = layout_.stored(group, output, k % kGroupInputs) - layout_.offset;
    values[k] =
        static_cast<float>(value) * layout_.scale(group, output) + layout_.minimum(group, output);
  }
}

size_t GroupedWeight::bytes() const {
  return static_cast<size_t>(row_product_blocks(out()) * groups_ * layout_.bytes());
}

}  // namespace evo::ops
