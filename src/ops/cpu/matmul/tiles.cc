#include "ops/cpu/matmul/tiles.h"

#include <algorithm>

#include "base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace evo::ops {

#if defined(__x86_64__)

namespace {

#define EVO_TARGET_PACKED_TILES \
  __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

constexpr int kLines = 16;  // of a tile, 64 bytes each
constexpr int64_t kTile = kTilePair / 2, kLineNumbers = 32;

/// Masks of all lanes: of instructions without masks GCC 12 says that they read what is undefined.
constexpr __mmask16 kAll = 0xFFFF;
constexpr __mmask8 kAllWide = 0xFF;
constexpr __mmask32 kAllWords = 0xFFFFFFFF;

/// The 16 lines of a tile; each is 16 pairs of bf16.
struct Lines {
  __m512i line[kLines];
};

/// Of a source: up to 16 along `outer`, up to 32 along `depth`.
struct Patch {
  const float* data;
  int outer, depth;
  int64_t stride;  ///< of the dimension whose stride may be other than 1
};

constexpr __mmask16 first_lanes(int count) {
  return static_cast<__mmask16>((1u << std::clamp(count, 0, 16)) - 1);
}

/// [outer, depth], for a source whose depth has stride 1.
EVO_TARGET_PACKED_TILES inline void load_lines(const Patch& patch, Lines& to) {
  const __mmask16 low = first_lanes(patch.depth), high = first_lanes(patch.depth - 16);
  for (int i = 0; i < kLines; ++i) {
    const bool there = i < patch.outer;
    const float* from = patch.data + (there ? i * patch.stride : 0);
    const __m512 first = _mm512_maskz_loadu_ps(there ? low : 0, from);
    const __m512 second = _mm512_maskz_loadu_ps(there ? high : 0, from + 16);
    to.line[i] = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first));
  }
}

/// [depth / 2, outer, 2], for a source whose outer has stride 1.
EVO_TARGET_PACKED_TILES inline void load_pairs(const Patch& patch, Lines& to) {
  alignas(64) static constexpr uint16_t kInterleave[32] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i interleave = _mm512_load_si512(kInterleave);
  const __mmask16 lanes = first_lanes(patch.outer);
  for (int i = 0; i < kLines; ++i) {
    const bool even = 2 * i < patch.depth, odd = 2 * i + 1 < patch.depth;
    const float* from = patch.data + (even ? 2 * i * patch.stride : 0);
    const __m512 first = _mm512_maskz_loadu_ps(even ? lanes : 0, from);
    const __m512 second = _mm512_maskz_loadu_ps(odd ? lanes : 0, from + (odd ? patch.stride : 0));
    to.line[i] = _mm512_maskz_permutexvar_epi16(
        kAllWords, interleave, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first)));
  }
}

/// Of 16 x 16 pairs.
EVO_TARGET_PACKED_TILES inline void transpose(Lines& lines) {
  __m512i* r = lines.line;
  __m512i t[kLines];
  for (int i = 0; i < kLines; i += 2) {
    t[i] = _mm512_maskz_unpacklo_epi32(kAll, r[i], r[i + 1]);
    t[i + 1] = _mm512_maskz_unpackhi_epi32(kAll, r[i], r[i + 1]);
  }
  for (int i = 0; i < kLines; i += 4) {
    r[i] = _mm512_maskz_unpacklo_epi64(kAllWide, t[i], t[i + 2]);
    r[i + 1] = _mm512_maskz_unpackhi_epi64(kAllWide, t[i], t[i + 2]);
    r[i + 2] = _mm512_maskz_unpacklo_epi64(kAllWide, t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_maskz_unpackhi_epi64(kAllWide, t[i + 1], t[i + 3]);
  }
  // Now quarter q of r[4 g + c] holds column 4 q + c of lines 4 g to 4 g + 3.
  constexpr int kEven = 0x88, kOdd = 0xDD;
  for (int c = 0; c < 4; ++c) {
    t[c] = _mm512_maskz_shuffle_i32x4(kAll, r[c], r[4 + c], kEven);
    t[4 + c] = _mm512_maskz_shuffle_i32x4(kAll, r[c], r[4 + c], kOdd);
    t[8 + c] = _mm512_maskz_shuffle_i32x4(kAll, r[8 + c], r[12 + c], kEven);
    t[12 + c] = _mm512_maskz_shuffle_i32x4(kAll, r[8 + c], r[12 + c], kOdd);
  }
  for (int c = 0; c < 4; ++c) {
    r[c] = _mm512_maskz_shuffle_i32x4(kAll, t[c], t[8 + c], kEven);
    r[4 + c] = _mm512_maskz_shuffle_i32x4(kAll, t[4 + c], t[12 + c], kEven);
    r[8 + c] = _mm512_maskz_shuffle_i32x4(kAll, t[c], t[8 + c], kOdd);
    r[12 + c] = _mm512_maskz_shuffle_i32x4(kAll, t[4 + c], t[12 + c], kOdd);
  }
}

/// A tile of the left side is [outer, depth], one of the right side [depth / 2, outer, 2].
EVO_TARGET_PACKED_TILES inline void pack_tile(const Patch& patch, bool along_depth, TileSide side,
                                              uint16_t* tile) {
  Lines lines;
  if (along_depth) {
    load_lines(patch, lines);
  } else {
    load_pairs(patch, lines);
  }
  if (along_depth == (side == TileSide::kRight)) transpose(lines);
  for (int i = 0; i < kLines; ++i) _mm512_store_si512(tile + 32 * i, lines.line[i]);
}

EVO_TARGET_PACKED_TILES void set_up_whole_tiles() {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  } shapes;
  std::fill_n(shapes.row_bytes, 8, uint16_t{64});
  std::fill_n(shapes.rows, 8, uint8_t{kLines});
  // Not _tile_loadconfig, which tells GCC 12 nothing of what it reads. Nor does _tile_loadd: what
  // it reads must be written before this.
  asm volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
}

EVO_TARGET_PACKED_TILES void let_tiles_go() {
  _tile_release();
}

/// What is asked for while a group is multiplied, as waiting for it would take longer than the
/// sums.
struct Ahead {
  const float* out;       ///< the 32 x 32 floats that will be written next
  const uint16_t* right;  ///< of the next group of the right side, in every step ...
  int64_t lines;          ///< ... so many cache lines
};

/// 32 x 32 floats.
EVO_TARGET_PACKED_TILES inline void multiply_group(const uint16_t* left, const uint16_t* right,
                                                   int64_t steps, const TileOutput& out,
                                                   const Ahead& ahead) {
  const int64_t row_bytes = out.stride * static_cast<int64_t>(sizeof(float));
  float* below = out.data + 16 * out.stride;
  if (out.accumulate) {
    _tile_loadd(0, out.data, row_bytes);
    _tile_loadd(1, out.data + 16, row_bytes);
    _tile_loadd(2, below, row_bytes);
    _tile_loadd(3, below + 16, row_bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  const int64_t rows_a_step = (kTileGroup + steps - 1) / steps;
  const float* next = ahead.out;
  const float* const end = next + kTileGroup * out.stride;
  for (int64_t k = 0; k < steps; ++k) {
    const uint16_t* l = left + k * kTilePair;
    const uint16_t* r = right + k * kTilePair;
    _tile_loadd(4, l, 64);
    _tile_loadd(6, r, 64);
    for (int64_t i = 0; i < ahead.lines; ++i) {
      __builtin_prefetch(ahead.right + k * kTilePair + i * kLineNumbers, 0, 2);
    }
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, r + kTile, 64);
    for (int64_t i = 0; i < rows_a_step && next < end; ++i, next += out.stride) {
      __builtin_prefetch(next, 1);
      __builtin_prefetch(next + 16, 1);
    }
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, l + kTile, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, out.data, row_bytes);
  _tile_stored(1, out.data + 16, row_bytes);
  _tile_stored(2, below, row_bytes);
  _tile_stored(3, below + 16, row_bytes);
}

void copy_rows(const float* from, int64_t from_stride, const TileOutput& out) {
  for (int64_t i = 0; i < out.rows; ++i) {
    std::copy_n(from + i * from_stride, out.cols, out.data + i * out.stride);
  }
}

/// The same at the edge of the result, which has less than 32 rows or columns there.
EVO_TARGET_PACKED_TILES void multiply_edge(const uint16_t* left, const uint16_t* right,
                                           int64_t steps, const TileOutput& out) {
  alignas(64) float sums[kTileGroup * kTileGroup] = {};
  if (out.accumulate) {
    for (int64_t i = 0; i < out.rows; ++i) {
      std::copy_n(out.data + i * out.stride, out.cols, sums + i * kTileGroup);
    }
  }
  asm volatile("" : : : "memory");
  multiply_group(left, right, steps, {sums, kTileGroup, kTileGroup, kTileGroup, out.accumulate},
                 {.out = sums, .right = right, .lines = 0});
  copy_rows(sums, kTileGroup, out);
}

}  // namespace

EVO_TARGET_PACKED_TILES void pack_tiles(const TileSource& from, TileSide side, uint16_t* tiles) {
  const bool along_depth = from.depth_stride == 1;
  const int64_t stride = along_depth ? from.outer_stride : from.depth_stride;
  for (int64_t i = 0; i < from.outer; i += kTileGroup) {
    for (int64_t k = 0; k < from.depth; k += kTileDepth) {
      for (int64_t half = i; half < i + kTileGroup; half += 16, tiles += kTile) {
        const auto outer = static_cast<int>(std::clamp<int64_t>(from.outer - half, 0, 16));
        const auto depth = static_cast<int>(std::min(from.depth - k, kTileDepth));
        const float* data =
            outer == 0 ? from.data : from.data + half * from.outer_stride + k * from.depth_stride;
        pack_tile({data, outer, depth, stride}, along_depth, side, tiles);
      }
    }
  }
}

void multiply_tiles(const TileGroups& left, const TileGroups& right, int64_t steps,
                    const TileOutput& out) {
  set_up_whole_tiles();
  const int64_t row_groups = (out.rows + kTileGroup - 1) / kTileGroup;
  const int64_t lines = (kTilePair / kLineNumbers + row_groups - 1) / row_groups;
  for (int64_t j = 0; j < out.cols; j += kTileGroup) {
    const uint16_t* r = right.tiles + j / kTileGroup * right.stride;
    const bool last = j + kTileGroup >= out.cols;
    for (int64_t i = 0; i < out.rows; i += kTileGroup) {
      const uint16_t* l = left.tiles + i / kTileGroup * left.stride;
      float* const at = out.data + i * out.stride + j;
      const TileOutput part = {at, std::min(kTileGroup, out.rows - i),
                               std::min(kTileGroup, out.cols - j), out.stride, out.accumulate};
      if (part.rows < kTileGroup || part.cols < kTileGroup) {
        multiply_edge(l, r, steps, part);
        continue;
      }
      const bool below = i + 2 * kTileGroup <= out.rows;
      const float* const beside = last ? at : out.data + j + kTileGroup;
      multiply_group(l, r, steps, part,
                     {.out = below ? at + kTileGroup * out.stride : beside,
                      .right = r + right.stride + i / kTileGroup * lines * kLineNumbers,
                      .lines = last ? 0 : lines});
    }
  }
  let_tiles_go();
}

#else

void pack_tiles(const TileSource& /*from*/, TileSide /*side*/, uint16_t* /*tiles*/) {
  check_failed("a CPU with AMX", __FILE__, __LINE__);
}

void multiply_tiles(const TileGroups& /*left*/, const TileGroups& /*right*/, int64_t /*steps*/,
                    const TileOutput& /*out*/) {
  check_failed("a CPU with AMX", __FILE__, __LINE__);
}

#endif

}  // namespace evo::ops
