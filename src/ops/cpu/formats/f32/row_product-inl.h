// The loops around the kernels of row_product.cc, bf16_kernel.cc and int8_kernel.cc. Re-included
// per target.
//
// A kernel multiplies up to kKernelRows rows of x by a piece of a block of outputs, with all sums
// in registers. Around it, from the inside:
//  - rows in groups of a kernel's size, which meet the piece of the block in the L1 cache: only the
//    first one waits for memory;
//  - the pieces of a block, along `in`;
//  - the blocks, which threads share out;
//  - for many rows, tiles of rows whose x stays in the L2 cache.
// However the rows are grouped, an element of y is the same chain of additions.
#if defined(EVO_OPS_ROW_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVO_OPS_ROW_PRODUCT_INL_H_
#undef EVO_OPS_ROW_PRODUCT_INL_H_
#else
#define EVO_OPS_ROW_PRODUCT_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <utility>

#include "ops/cpu/formats/f32/row_product.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {

// Twelve rows times two vectors of outputs are 24 sums, of 32 registers; six rows 12, of 16.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || HWY_ARCH_ARM_A64
inline constexpr int64_t kKernelRows = 12;
#else
inline constexpr int64_t kKernelRows = 6;
#endif
/// So many rows make a product's arithmetic dearer than reading the weights once more.
inline constexpr int64_t kTileRows = 48;
/// A piece of a block: this much of it and a kernel's rows of x fit into an L1 cache of 32 KB, and
/// memory has the time of three quarters of a piece to bring what follows.
template <class Kernel>
HWY_INLINE int64_t piece_steps(const Kernel& kernel) {
  return 8192 / kernel.step_bytes();
}
inline constexpr int64_t kFetchedAhead = 6144;  // bytes

/// What a kernel works on: `steps` steps along `in`.
template <class Input, class Weight>
struct Piece {
  const Input* x;
  int64_t x_stride;  ///< from row to row
  const Weight* w;
  int64_t block, first;  ///< of outputs; of the block's steps
  int64_t steps;
  const char* ahead;  ///< what fetch_ahead() asks for, `ahead_step` bytes further on every step
  int64_t ahead_step;
};

/// Asks for what comes next: all groups of rows do their part, so that memory is busy the whole
/// time. Into the L2 cache, from where wide steps are as fast, those of f32 faster; or nearer, if
/// kLocality, that of __builtin_prefetch, is 3.
template <int64_t kStepBytes, int kLocality = 2, class Input, class Weight>
HWY_INLINE void fetch_ahead(const Piece<Input, Weight>& piece, int64_t step) {
  const char* from = piece.ahead + step * piece.ahead_step;
  __builtin_prefetch(from, 0, kLocality);
  if constexpr (kStepBytes > 64) __builtin_prefetch(from + 64, 0, kLocality);
}

/// The rows of a kernel, 0, 1 ...: written out one by one, sums become registers at any level of
/// optimisation; a loop's become so only if the compiler unrolls it early enough.
template <int... kRow>
using Rows = std::integer_sequence<int, kRow...>;

template <class Kernel, int... kRow>
constexpr auto adder(Rows<kRow...>) {
  return &Kernel::template add<kRow...>;
}
template <class Kernel, int... kRow>
constexpr auto adders(Rows<kRow...>) {
  return std::array{adder<Kernel>(std::make_integer_sequence<int, kRow + 1>())...};
}
/// kAdd<Kernel>[n - 1] is Kernel::add for n rows.
template <class Kernel>
inline constexpr auto kAdd = adders<Kernel>(std::make_integer_sequence<int, kKernelRows>());

/// sums [count, 32] += x W^T for the piece at `step` of block b and `count` rows from `first` on.
template <class Kernel>
void add_piece(const Kernel& kernel, int64_t b, int64_t first, int64_t count, int64_t step,
               typename Kernel::Sum* sums) {
  const int64_t bytes = kernel.step_bytes();
  const int64_t steps = std::min(kernel.steps - step, piece_steps(kernel));
  const char* w = reinterpret_cast<const char*>(kernel.steps_of(b)) + step * bytes;
  const int64_t groups = (count + kKernelRows - 1) / kKernelRows;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t row = count * g / groups, rows = count * (g + 1) / groups - row;
    (kernel.*kAdd<Kernel>[static_cast<size_t>(rows - 1)])(
        {.x = kernel.x + (first + row) * kernel.x_stride + step * Kernel::kStepInputs,
         .x_stride = kernel.x_stride,
         .w = reinterpret_cast<decltype(kernel.steps_of(b))>(w),
         .block = b,
         .first = step,
         .steps = steps,
         .ahead = w + kFetchedAhead + steps * bytes * g / groups,
         .ahead_step = bytes / groups},
        sums + row * ops::kRowProductBlock);
  }
}

/// Writes block b of a row of y [out]; the last block may have fewer than 32 outputs.
inline void copy_block(const float* HWY_RESTRICT from, int64_t b, int64_t out,
                       float* HWY_RESTRICT y_row) {
  const int64_t begin = b * ops::kRowProductBlock;
  if (out - begin >= ops::kRowProductBlock) {
    std::copy_n(from, ops::kRowProductBlock, y_row + begin);
  } else {
    std::copy_n(from, out - begin, y_row + begin);
  }
}

/// Blocks [begin, end) of outputs for all rows.
template <class Kernel>
void multiply_blocks(const Kernel& kernel, int64_t begin, int64_t end) {
  alignas(64) typename Kernel::Sum sums[kTileRows * ops::kRowProductBlock];
  const int64_t tiles = (kernel.rows + kTileRows - 1) / kTileRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t first = kernel.rows * t / tiles, count = kernel.rows * (t + 1) / tiles - first;
    for (int64_t b = begin; b < end; ++b) {
      kernel.start(b, count, sums);
      for (int64_t step = 0; step < kernel.steps; step += piece_steps(kernel)) {
        add_piece(kernel, b, first, count, step, sums);
      }
      kernel.finish(b, first, count, sums);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#endif  // include guard
