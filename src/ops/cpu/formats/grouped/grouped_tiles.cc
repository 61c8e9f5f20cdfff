// The kernels of grouped_product.cc for AMX: of 16 rows and 32 outputs, the sums of both parts of x
// in four tiles, and beside them two tiles of x and two of weights. Whole numbers are added
// exactly; what is done with the sums of a group is what grouped_kernel.cc does.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "ops/cpu/formats/f32/row_product.h"
#include "ops/cpu/formats/grouped/grouped_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace evo::ops {

void put_into_tile(const InputGroup& group, int64_t row, InputTile& tile) {
  std::memcpy(tile.parts[0][row], group.values, kGroupInputs);
  std::memcpy(tile.parts[1][row], group.values + kGroupInputs, kGroupInputs);
  tile.scales[row] = group.scale;
  tile.sums[row] = group.sum;
}

#if defined(__x86_64__)

namespace {

#define EVO_TARGET_BYTE_TILES __attribute__((target("amx-tile,amx-int8,avx512f,avx512bw,avx512vl")))

constexpr int64_t kTileOutputs = kRowProductBlock, kHalfOutputs = kTileOutputs / 2;
constexpr int64_t kByteTileSteps = kGroupInputs / 4;  // of four bytes
constexpr int64_t kTileLineBytes = kTileOutputs * 4;
constexpr int64_t kGroupedPanelRows = 4 * kGroupedTileRows;

EVO_TARGET_BYTE_TILES void set_up_byte_tiles() {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  } shapes;
  for (int tile = 0; tile < 8; ++tile) {
    const bool is_x = tile == 4 || tile == 5, is_weight = tile >= 6;
    shapes.row_bytes[tile] = is_x ? kGroupInputs : 64;
    shapes.rows[tile] = is_weight ? kByteTileSteps : kGroupedTileRows;
  }
  // Not _tile_loadconfig, which tells GCC 12 nothing of what it reads. Nor does _tile_loadd: what
  // it reads must be written before this.
  asm volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
}

/// Weights of a group in bytes, [8, 32, 4].
template <int64_t kBits>
EVO_TARGET_BYTE_TILES const uint8_t* bytes_of(const uint8_t* w, uint8_t* scratch) {
  if constexpr (kBits == 8) return w;
  const __m512i mask = _mm512_set1_epi8(0x0F);
  for (int64_t line = 0; line < kByteTileSteps / 2; ++line) {
    for (int64_t half = 0; half < 2; ++half) {
      const __m512i both = _mm512_load_si512(w + line * kTileLineBytes + half * 64);
      uint8_t* to = scratch + 2 * line * kTileLineBytes + half * 64;
      _mm512_store_si512(to, _mm512_and_si512(both, mask));
      _mm512_store_si512(to + kTileLineBytes, _mm512_and_si512(_mm512_srli_epi16(both, 4), mask));
    }
  }
  return scratch;
}

constexpr int64_t kSumsOfTile = kGroupedTileRows * kHalfOutputs;

/// sums [2 parts, 2 halves of the block, 16 rows, 16] of a group.
EVO_TARGET_BYTE_TILES void multiply_tile(const InputTile& x, const uint8_t* w, int32_t* sums) {
  constexpr int64_t kRowBytes = 64;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, x.parts[0], kGroupInputs);
  _tile_loadd(6, w, kTileLineBytes);
  _tile_dpbsud(0, 4, 6);
  _tile_loadd(7, w + kRowBytes, kTileLineBytes);
  _tile_dpbsud(1, 4, 7);
  _tile_loadd(5, x.parts[1], kGroupInputs);
  _tile_dpbsud(2, 5, 6);
  _tile_dpbsud(3, 5, 7);
  _tile_stored(0, sums, kRowBytes);
  _tile_stored(1, sums + kSumsOfTile, kRowBytes);
  _tile_stored(2, sums + 2 * kSumsOfTile, kRowBytes);
  _tile_stored(3, sums + 3 * kSumsOfTile, kRowBytes);
}

/// The compiler's own vectors where GCC 12 warns of what its intrinsics leave undefined.
using Whole = int32_t __attribute__((vector_size(64)));
using Real = float __attribute__((vector_size(64)));

EVO_TARGET_BYTE_TILES Real real(const uint8_t* halves) {
  return Real(
      _mm512_maskz_cvtph_ps(0xFFFF, _mm256_load_si256(reinterpret_cast<const __m256i*>(halves))));
}

/// Adds a group of a tile to y [16, 32], as add_scaled() of grouped_kernel.cc does.
template <int64_t kBits>
EVO_TARGET_BYTE_TILES void add_scaled(const int32_t* sums, const InputTile& x, const uint8_t* group,
                                      float* y) {
  constexpr GroupLayout kLayout = group_layout(kBits);
  const uint8_t* scales = group + kLayout.weight_bytes();
  for (int64_t half = 0; half < 2; ++half, sums += kSumsOfTile, y += kHalfOutputs) {
    const Real w_scale = real(scales + half * GroupLayout::kHalvesBytes / 2);
    Real minimum = {};
    if constexpr (kLayout.has_minimum())
      minimum = real(scales + GroupLayout::kHalvesBytes + half * GroupLayout::kHalvesBytes / 2);
    for (int64_t r = 0; r < kGroupedTileRows; ++r) {
      const auto first = Whole(_mm512_load_si512(sums + r * kHalfOutputs));
      const auto second = Whole(_mm512_load_si512(sums + 2 * kSumsOfTile + r * kHalfOutputs));
      const Whole sum = (first << 7) + second - static_cast<int32_t>(kLayout.offset) * x.sums[r];
      const Real scale = w_scale * x.scales[r];
      float* to = y + r * kTileOutputs;
      Real total = Real(_mm512_load_ps(to)) + __builtin_convertvector(sum, Real) * scale;
      if constexpr (kLayout.has_minimum())
        total = total + minimum * (static_cast<float>(x.sums[r]) * x.scales[r]);
      _mm512_store_ps(to, total);
    }
  }
}

/// Block b for the rows of a panel.
template <int64_t kBits>
void multiply_panel(const TiledTask& task, int64_t b, int64_t first, int64_t rows) {
  constexpr GroupLayout kLayout = group_layout(kBits);
  constexpr int64_t kPanelTiles = kGroupedPanelRows / kGroupedTileRows;
  alignas(64) float y[kGroupedPanelRows * kTileOutputs];
  // A tile's sums are made while those of the one before it are used.
  alignas(64) int32_t sums[kPanelTiles][4 * kSumsOfTile];
  alignas(64) uint8_t scratch[kBits == 8 ? 1 : kByteTileSteps * kTileLineBytes];
  const int64_t tiles = (rows + kGroupedTileRows - 1) / kGroupedTileRows;
  const InputTile* const x = task.x + first / kGroupedTileRows * task.groups;
  std::fill_n(y, tiles * kGroupedTileRows * kTileOutputs, 0.0f);
  for (int64_t g = 0; g < task.groups; ++g) {
    const uint8_t* const packed = task.w + (b * task.groups + g) * kLayout.bytes();
    const uint8_t* const w = bytes_of<kBits>(packed, scratch);
    for (int64_t t = 0; t < tiles; ++t) multiply_tile(x[t * task.groups + g], w, sums[t]);
    for (int64_t t = 0; t < tiles; ++t) {
      add_scaled<kBits>(sums[t], x[t * task.groups + g], packed,
                        y + t * kGroupedTileRows * kTileOutputs);
    }
  }
  const int64_t outputs = std::min(kTileOutputs, task.out - b * kTileOutputs);
  for (int64_t r = 0; r < rows; ++r)
    std::copy_n(y + r * kTileOutputs, outputs, task.y + (first + r) * task.out + b * kTileOutputs);
}

EVO_TARGET_BYTE_TILES void release_byte_tiles() {
  _tile_release();
}

template <int64_t kBits>
void multiply_grouped(const TiledTask& task, int64_t begin, int64_t end) {
  set_up_byte_tiles();
  for (int64_t first = 0; first < task.rows; first += kGroupedPanelRows) {
    for (int64_t b = begin; b < end; ++b)
      multiply_panel<kBits>(task, b, first, std::min(kGroupedPanelRows, task.rows - first));
  }
  release_byte_tiles();
}

}  // namespace

void grouped_multiply_tiles_8(const TiledTask& task, int64_t begin, int64_t end) {
  multiply_grouped<8>(task, begin, end);
}

void grouped_multiply_tiles_4(const TiledTask& task, int64_t begin, int64_t end) {
  multiply_grouped<4>(task, begin, end);
}

#else

void grouped_multiply_tiles_8(const TiledTask& /*task*/, int64_t /*begin*/, int64_t /*end*/) {
  check_failed("a CPU with AMX", __FILE__, __LINE__);
}

void grouped_multiply_tiles_4(const TiledTask& /*task*/, int64_t /*begin*/, int64_t /*end*/) {
  check_failed("a CPU with AMX", __FILE__, __LINE__);
}

#endif

}  // namespace evo::ops
