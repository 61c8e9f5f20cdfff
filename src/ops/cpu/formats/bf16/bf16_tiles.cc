// The kernel of bf16_product.cc for AMX: sums of 32 rows x 32 outputs in four tiles, and beside
// them two tiles of x and two of weights. An element of y is one chain of tile products in rising
// order of `in`, each of which adds up its 32 products in an order of the CPU's that knows no other
// row.
#include <algorithm>

#include "base/error.h"
#include "ops/cpu/formats/bf16/bf16_kernel.h"
#include "ops/cpu/formats/f32/row_product.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace evo::ops {

#if defined(__x86_64__)

namespace {

#define EVO_TARGET_TILES __attribute__((target("amx-tile,amx-bf16")))

constexpr int64_t kBlock = kRowProductBlock, kHalf = kBlock / 2;
constexpr int64_t kTileSteps = kBF16TileInputs / kBF16Step;
constexpr int64_t kGroupRows = 2 * kBF16TileRows;
/// Of weights: so many outputs' pairs, one below the other.
constexpr int64_t kLineBytes = kBlock * kBF16Step * sizeof(uint16_t);
constexpr int64_t kStepBytes = kTileSteps * kLineBytes;
constexpr int64_t kCacheLine = 64;
/// What is asked for while the first rows wait for memory.
constexpr int64_t kFetchedAhead = 8192;
/// Of weights, so that they stay in an L2 cache of 2 MB while all rows meet them: for more weights
/// x is read once more.
constexpr int64_t kPanelBytes = 1 << 20;

/// Tiles 0 to 5, of sums and of x, have `rows` rows, 6 and 7 those of weights 16; each of 64 bytes.
EVO_TARGET_TILES void set_up_tiles(int64_t rows) {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  } shapes;
  std::fill_n(shapes.row_bytes, 8, uint16_t{kCacheLine});
  std::fill_n(shapes.rows, 6, static_cast<uint8_t>(rows));
  std::fill_n(shapes.rows + 6, 2, uint8_t{kTileSteps});
  // Not _tile_loadconfig, which tells GCC 12 nothing of what it reads. Nor does _tile_loadd: what
  // it reads must be written before this.
  asm volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
}

/// A group of rows times a block.
struct Part {
  const uint16_t* x;
  const char* w;
  int64_t stride, steps;  ///< of x, in bytes; tiles along `in`
  bool first;             ///< who meets these weights first asks for what comes next
};

inline void fetch_ahead(const Part& part, const char* w) {
  if (!part.first) return;
  for (int64_t i = 0; i < kStepBytes; i += kCacheLine) {
    __builtin_prefetch(w + kFetchedAhead + i, 0, 2);  // into the L2 cache
  }
}

/// to [16 or as many as a tile has, 32], rows `to_stride` bytes apart.
EVO_TARGET_TILES void multiply_one_tile(const Part& part, float* to, int64_t to_stride) {
  _tile_zero(0);
  _tile_zero(1);
  for (int64_t k = 0; k < part.steps; ++k) {
    const char* w = part.w + k * kStepBytes;
    fetch_ahead(part, w);
    _tile_loadd(4, part.x + k * kBF16TileInputs, part.stride);
    _tile_loadd(6, w, kLineBytes);
    _tile_loadd(7, w + kCacheLine, kLineBytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
  }
  _tile_stored(0, to, to_stride);
  _tile_stored(1, to + kHalf, to_stride);
}

/// to [32, 32]. The same sums as multiply_one_tile()'s.
EVO_TARGET_TILES void multiply_two_tiles(const Part& part, float* to, int64_t to_stride) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  const auto* x_below = reinterpret_cast<const char*>(part.x) + kBF16TileRows * part.stride;
  for (int64_t k = 0; k < part.steps; ++k) {
    const char* w = part.w + k * kStepBytes;
    fetch_ahead(part, w);
    _tile_loadd(4, part.x + k * kBF16TileInputs, part.stride);
    _tile_loadd(6, w, kLineBytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, w + kCacheLine, kLineBytes);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, x_below + k * kCacheLine, part.stride);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  float* to_below = to + kBF16TileRows * to_stride / static_cast<int64_t>(sizeof(float));
  _tile_stored(0, to, to_stride);
  _tile_stored(1, to + kHalf, to_stride);
  _tile_stored(2, to_below, to_stride);
  _tile_stored(3, to_below + kHalf, to_stride);
}

/// Rows [first, first + count) of block b, at most 32: straight to y if whole tiles fit there.
void multiply_group(const BF16Task& task, const Part& part, int64_t b, int64_t first,
                    int64_t count) {
  const auto multiply = count > kBF16TileRows ? multiply_two_tiles : multiply_one_tile;
  const int64_t outputs = std::min(kBlock, task.out - b * kBlock);
  const bool whole_rows = task.rows <= kBF16TileRows || count % kBF16TileRows == 0;
  float* y = task.y + first * task.out + b * kBlock;
  if (outputs == kBlock && whole_rows) {
    multiply(part, y, task.out * static_cast<int64_t>(sizeof(float)));
    return;
  }
  alignas(64) float sums[kGroupRows * kBlock];
  multiply(part, sums, kBlock * sizeof(float));
  for (int64_t r = 0; r < count; ++r) {
    std::copy_n(sums + r * kBlock, outputs, y + r * task.out);
  }
}

/// Blocks [begin, end) for the rows from `first` on, at most 32, which stay in the L1 cache.
void multiply_blocks(const BF16Task& task, int64_t begin, int64_t end, int64_t first) {
  const int64_t steps = task.steps / kTileSteps;
  for (int64_t b = begin; b < end; ++b) {
    const Part part = {.x = static_cast<const uint16_t*>(task.x) + first * task.stride,
                       .w = reinterpret_cast<const char*>(task.w) + b * steps * kStepBytes,
                       .stride = task.stride * static_cast<int64_t>(sizeof(uint16_t)),
                       .steps = steps,
                       .first = first == 0};
    multiply_group(task, part, b, first, std::min(kGroupRows, task.rows - first));
  }
}

EVO_TARGET_TILES void release_tiles() {
  _tile_release();
}

}  // namespace

void bf16_multiply_tiles(const BF16Task& task, int64_t begin, int64_t end) {
  set_up_tiles(std::min(task.rows, kBF16TileRows));
  const int64_t block_bytes = task.steps / kTileSteps * kStepBytes;
  const int64_t panel = std::max<int64_t>(1, kPanelBytes / block_bytes);
  for (int64_t b = begin; b < end; b += panel) {
    for (int64_t first = 0; first < task.rows; first += kGroupRows) {
      multiply_blocks(task, b, std::min(end, b + panel), first);
    }
  }
  release_tiles();
}

#else

void bf16_multiply_tiles(const BF16Task& /*task*/, int64_t /*begin*/, int64_t /*end*/) {
  check_failed("a CPU with AMX", __FILE__, __LINE__);
}

#endif

}  // namespace evo::ops
