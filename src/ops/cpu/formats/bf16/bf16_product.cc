#include "ops/cpu/formats/bf16/bf16_product.h"

#include <hwy/targets.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/float_formats.h"
#include "base/threads/parallel.h"
#include "ops/cpu/formats/bf16/bf16.h"
#include "ops/cpu/formats/bf16/bf16_kernel.h"
#include "ops/cpu/formats/f32/row_product.h"
#include "ops/cpu/formats/weight_memory.h"
#include "ops/cpu/matmul/matmul.h"
#include "ops/machine.h"
#include "tensor/tensor.h"

namespace evo::ops {
namespace {

constexpr int64_t kStepWeights = kRowProductBlock * kBF16Step;

int64_t round_up(int64_t count, int64_t unit) {
  return (count + unit - 1) / unit * unit;
}

using MultiplyBlocks = void (*)(const BF16Task&, int64_t begin, int64_t end);

MultiplyBlocks function_of(BF16Kernel kernel) {
  switch (kernel) {
    case BF16Kernel::kWidened:
      return bf16_multiply_widened;
    case BF16Kernel::kDots:
      return bf16_multiply_dots;
    case BF16Kernel::kTiles:
      return bf16_multiply_tiles;
  }
  check_failed("a kernel for bf16", __FILE__, __LINE__);
}

}  // namespace

bool has_bf16_kernel(BF16Kernel kernel) {
  switch (kernel) {
    case BF16Kernel::kWidened:
      return true;
    case BF16Kernel::kDots:
      return isa() >= Isa::kAvx512BF16 && (hwy::SupportedTargets() & HWY_AVX3_DL) != 0;
    case BF16Kernel::kTiles:
      return isa() >= Isa::kAmx;
  }
  return false;
}

BF16Kernel best_bf16_kernel() {
  if (has_bf16_kernel(BF16Kernel::kTiles)) return BF16Kernel::kTiles;
  return native_bf16() ? BF16Kernel::kDots : BF16Kernel::kWidened;
}

BF16Weight::BF16Weight(const uint16_t* weight, int64_t out, int64_t in, BF16Kernel kernel)
    : PackedWeight(out, in), steps_(round_up(in, kBF16TileInputs) / kBF16Step), kernel_(kernel) {
  EVO_CHECK(has_bf16_kernel(kernel));
  weights_ = std::static_pointer_cast<uint16_t>(weight_bytes(bytes()));
  parallel_for(row_product_blocks(out), 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) pack_block(weight, b);
  });
}

void BF16Weight::pack_block(const uint16_t* weight, int64_t block) {
  const int64_t outputs = std::min(kRowProductBlock, out() - block * kRowProductBlock);
  const uint16_t* from = weight + block * kRowProductBlock * in();
  uint16_t* to = weights_.get() + block * steps_ * kStepWeights;
  const int64_t whole = in() / kBF16Step;
  const int64_t written = outputs == kRowProductBlock ? whole : 0;
  std::fill(to + written * kStepWeights, to + steps_ * kStepWeights, uint16_t{0});
  // Line by line of the result: 32 rows of `weight` are read side by side.
  for (int64_t k = 0; k < whole; ++k) {
    for (int64_t j = 0; j < outputs; ++j) {
      std::memcpy(to + k * kStepWeights + j * kBF16Step, from + j * in() + k * kBF16Step,
                  kBF16Step * sizeof(uint16_t));
    }
  }
  for (int64_t j = 0; whole * kBF16Step < in() && j < outputs; ++j) {
    to[whole * kStepWeights + j * kBF16Step] = from[j * in() + whole * kBF16Step];
  }
}

std::shared_ptr<void> BF16Weight::inputs(const float* x, int64_t rows, int64_t stride) const {
  const bool widened = kernel_ == BF16Kernel::kWidened;
  const bool pad = kernel_ == BF16Kernel::kTiles && rows > kBF16TileRows;
  const int64_t padded_rows = pad ? round_up(rows, kBF16TileRows) : rows;
  const auto copy = tensor::pooled_bytes(static_cast<size_t>(padded_rows * stride) *
                                         (widened ? sizeof(float) : sizeof(uint16_t)));
  parallel_for(padded_rows, 65536 / in() + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t count = r < rows ? in() : 0;
      if (widened) {
        float* to = static_cast<float*>(copy.get()) + r * stride;
        round_to_bf16(x + r * in(), count, to);
        std::fill(to + count, to + steps_ * kBF16Step, 0.0f);
      } else {
        uint16_t* to = static_cast<uint16_t*>(copy.get()) + r * stride;
        convert_to_bf16(x + r * in(), count, to);
        std::fill(to + count, to + steps_ * kBF16Step, uint16_t{0});
      }
    }
  });
  return copy;
}

void BF16Weight::multiply_rows(const float* x, int64_t rows, float* y) const {
  // An odd number of cache lines, so that rows do not compete for the same places in the cache.
  const int64_t stride = steps_ * kBF16Step | kBF16TileInputs;
  const std::shared_ptr<void> copy = inputs(x, rows, stride);
  const BF16Task task = {copy.get(), rows, stride, steps_, out(), weights_.get(), y};
  const MultiplyBlocks multiply_blocks = function_of(kernel_);
  parallel_for(row_product_blocks(out()), row_product_grain(in(), rows, sizeof(uint16_t)),
               [&](int64_t begin, int64_t end) { multiply_blocks(task, begin, end); });
}

void BF16Weight::read_row(int64_t index, float* values) const {
  const uint16_t* from = weights_.get() + index / kRowProductBlock * steps_ * kStepWeights +
                         index % kRowProductBlock * kBF16Step;
  for (int64_t k = 0; k < in(); ++k) {
    values[k] = from_bf16(from[k / kBF16Step * kStepWeights + k % kBF16Step]);
  }
}

size_t BF16Weight::bytes() const {
  return static_cast<size_t>(row_product_blocks(out()) * steps_ * kStepWeights) * sizeof(uint16_t);
}

}  // namespace evo::ops
