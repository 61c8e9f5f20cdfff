// The kernels of grouped_product.cc for AMX: the sums of a group for up to 16 rows and 16 outputs
// in one tile or two (TileForm). Whole numbers are added exactly; what is done with the sums of a
// group is what grouped_kernel.cc does.
#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "ops/cpu/formats/f32/row_product.h"
#include "ops/cpu/formats/grouped/grouped_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace evo::ops {

void put_into_tile(const InputGroup& group, int64_t row, InputTile& tile) {
  std::memcpy(tile.parts[row], group.values, sizeof(group.values));
  tile.scales[row] = group.scale;
  for (const GroupSum of : {kAll, kFirst, kSecond})
    tile.scaled_sums[of][row] = group.scaled_sums[of];
}

#if defined(__x86_64__)

namespace {

#define EVO_TARGET_BYTE_TILES __attribute__((target("amx-tile,amx-int8,avx512f,avx512bw,avx512vl")))
#define EVO_TARGET_BYTE_TILES_INLINE EVO_TARGET_BYTE_TILES __attribute__((always_inline)) inline

constexpr int64_t kTileOutputs = kRowProductBlock, kHalfOutputs = kTileOutputs / 2;
constexpr int64_t kGroupLineBytes = GroupLayout::kLineBytes, kRowBytes = 64;
constexpr int64_t kGroupedPanelRows = 4 * kGroupedTileRows;
/// Groups whose scales and weights wait in the L1 cache for all rows of a panel.
constexpr int64_t kChunkGroups = 8;

/// How a part of a group of weights and of x meets in tiles. Of 8 bits, the two parts of x give
/// sums of their own. Of 4, sixteen times the weights and, behind them, the weights stand in one
/// tile and both parts of x in another.
template <int64_t kBits, int64_t kParts>
struct TileForm {
  static constexpr int64_t kInputs = kGroupInputs / kParts;
  static constexpr int64_t kXBytes = kBits == 8 ? kInputs : 2 * kInputs, kLines = kXBytes / 4;
};

template <class Form>
EVO_TARGET_BYTE_TILES void set_up_byte_tiles(int64_t rows) {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  } shapes;
  for (int tile = 0; tile < 8; ++tile) {
    const bool is_x = tile == 4 || tile == 5, is_weight = tile >= 6;
    shapes.row_bytes[tile] = static_cast<uint16_t>(is_x ? Form::kXBytes : kRowBytes);
    shapes.rows[tile] = static_cast<uint8_t>(is_weight ? Form::kLines : rows);
  }
  // Not _tile_loadconfig, which tells GCC 12 nothing of what it reads. Nor does _tile_loadd: what
  // it reads must be written before this.
  asm volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
}

EVO_TARGET_BYTE_TILES void release_byte_tiles() {
  _tile_release();
}

// GCC 12's intrinsics take a tile's number as text alone.
template <int kTile>
void load_tile(const void* from, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
void store_tile(void* to) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(kRowBytes), "i"(kTile) : "memory");
}
/// A tile of signed bytes of x with one of weights, whose bytes are signed if they are of 8 bits.
template <int64_t kBits, int kSums, int kX, int kW>
void multiply_tile() {
  if constexpr (kBits == 8) {
    asm volatile("tilezero %%tmm%c0\n\ttdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0"
                 :
                 : "i"(kSums), "i"(kX), "i"(kW));
  } else {
    asm volatile("tilezero %%tmm%c0\n\ttdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0"
                 :
                 : "i"(kSums), "i"(kX), "i"(kW));
  }
}

/// The sums of a part of a group, of 16 rows and outputs.
struct alignas(64) PartSums {
  int32_t of[2][kGroupedTileRows][kHalfOutputs];
};

/// Into tiles 2 kSet and 2 kSet + 1: one set is used while the other's are made.
template <int64_t kBits, int kSet>
void multiply_part(const int8_t* x, const uint8_t* w, PartSums& sums) {
  constexpr int kX = 4 + kSet, kW = 6 + kSet;
  load_tile<kW>(w, kGroupLineBytes);
  load_tile<kX>(x, sizeof(InputTile::parts[0]));
  multiply_tile<kBits, 2 * kSet, kX, kW>();
  if constexpr (kBits == 8) {
    load_tile<kX>(x + kGroupInputs, sizeof(InputTile::parts[0]));
    multiply_tile<kBits, 2 * kSet + 1, kX, kW>();
  }
  store_tile<2 * kSet>(sums.of[0]);
  if constexpr (kBits == 8) store_tile<2 * kSet + 1>(sums.of[1]);
}

/// The compiler's own vectors where GCC 12 warns of what its intrinsics leave undefined.
using Whole = int32_t __attribute__((vector_size(64)));
using Real = float __attribute__((vector_size(64)));

EVO_TARGET_BYTE_TILES_INLINE Real load(const float* from) {
  return Real(_mm512_load_ps(from));
}
EVO_TARGET_BYTE_TILES_INLINE Whole load(const int32_t* from) {
  return Whole(_mm512_load_si512(from));
}

/// What scales the outputs of a half of a block.
struct HalfScales {
  Real scale, minimum;
};

template <int64_t kBits, bool kMinima>
EVO_TARGET_BYTE_TILES_INLINE Real add_row(Real total, const PartSums& sums, const InputTile& x,
                                          GroupSum of, int64_t row, const HalfScales& w) {
  Whole sum = load(sums.of[0][row]);
  if constexpr (kBits == 8) sum = (sum << 7) + load(sums.of[1][row]);
  total = total + __builtin_convertvector(sum, Real) * (w.scale * x.scales[row]);
  if constexpr (kMinima) total = total + w.minimum * x.scaled_sums[of][row];
  return total;
}

/// Weights and scales of some groups of a block, as tiles take them.
struct Chunk {
  GroupScales scales[kChunkGroups];
  alignas(64) uint8_t weights[kChunkGroups][2 * kGroupInputs * kTileOutputs];
  int64_t groups;
};

/// y [rows, 32] += x W^T, or =, for the outputs of a half of the block. A part's sums are made
/// while those of the one before it are used.
template <int64_t kBits, int64_t kParts, bool kMinima, int... kRow>
EVO_TARGET_BYTE_TILES void add_half(std::integer_sequence<int, kRow...>, const InputTile* x,
                                    const Chunk& chunk, int64_t half, bool begins, float* y) {
  using Form = TileForm<kBits, kParts>;
  y += half * kHalfOutputs;
  Real totals[] = {(begins ? Real{} : load(y + kRow * kTileOutputs))...};
  PartSums sums[2];
  const int64_t steps = chunk.groups * kParts;
  const auto multiply = [&](int64_t step) {
    const int64_t group = step / kParts, part = step % kParts;
    const int8_t* const inputs = x[group].parts[0][0] + part * Form::kInputs;
    const uint8_t* const w =
        chunk.weights[group] + part * Form::kLines * kGroupLineBytes + half * kRowBytes;
    if (step % 2 == 0) {
      multiply_part<kBits, 0>(inputs, w, sums[0]);
    } else {
      multiply_part<kBits, 1>(inputs, w, sums[1]);
    }
  };
  multiply(0);
  for (int64_t step = 0; step < steps; ++step) {
    if (step + 1 < steps) multiply(step + 1);
    const int64_t group = step / kParts, part = step % kParts;
    const GroupScales& scales = chunk.scales[group];
    const HalfScales of_half = {load(scales.scales[part] + half * kHalfOutputs),
                                kMinima ? load(scales.minima[part] + half * kHalfOutputs) : Real{}};
    ((totals[kRow] = add_row<kBits, kMinima>(totals[kRow], sums[step % 2], x[group],
                                             group_sum(kParts, part), kRow, of_half)),
     ...);
  }
  (_mm512_store_ps(y + kRow * kTileOutputs, __m512(totals[kRow])), ...);
}

/// Bytes with the offset taken off.
EVO_TARGET_BYTE_TILES void unpack_bytes(const uint8_t* w, uint8_t* to) {
  const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
  for (int64_t i = 0; i < kGroupInputs * kTileOutputs; i += kRowBytes)
    _mm512_store_si512(to + i, _mm512_xor_si512(_mm512_load_si512(w + i), sign));
}

/// Numbers of 4 bits as bytes, [8, 32, 4]: sixteen times as large, and behind these as they are.
EVO_TARGET_BYTE_TILES void unpack_nibbles(const uint8_t* w, uint8_t* to) {
  constexpr int64_t kNibbles = kGroupInputs * kTileOutputs;
  const __m512i low = _mm512_set1_epi8(0x0F), high = _mm512_set1_epi8(static_cast<char>(0xF0));
  for (int64_t line = 0; line < kGroupInputs / 8; ++line) {
    for (int64_t half = 0; half < 2; ++half) {
      const __m512i both = _mm512_load_si512(w + line * kGroupLineBytes + half * kRowBytes);
      uint8_t* const first = to + 2 * line * kGroupLineBytes + half * kRowBytes;
      uint8_t* const second = first + kGroupLineBytes;
      _mm512_store_si512(first, _mm512_and_si512(_mm512_slli_epi16(both, 4), high));
      _mm512_store_si512(second, _mm512_and_si512(both, high));
      _mm512_store_si512(first + kNibbles, _mm512_and_si512(both, low));
      _mm512_store_si512(second + kNibbles, _mm512_and_si512(_mm512_srli_epi16(both, 4), low));
    }
  }
}

template <int64_t kBits>
void fill_chunk(const GroupedTask<InputTile>& task, const uint8_t* block, int64_t first,
                Chunk& chunk) {
  chunk.groups = std::min(kChunkGroups, task.groups - first);
  for (int64_t i = 0; i < chunk.groups; ++i) {
    const uint8_t* const group = block + task.layout.group_at(task.groups, first + i);
    grouped_scales(task.layout, block, group, first + i, chunk.scales[i]);
    if constexpr (kBits == 8) {
      unpack_bytes(group, chunk.weights[i]);
    } else {
      unpack_nibbles(group, chunk.weights[i]);
    }
  }
}

/// Block b of the rows of a panel.
void put_block(const GroupedTask<InputTile>& task, int64_t b, int64_t first, int64_t rows,
               const float* y) {
  float* to = task.y + first * task.y_stride + b * kTileOutputs;
  const int64_t outputs = std::min(kTileOutputs, task.out - b * kTileOutputs);
  for (int64_t r = 0; r < rows; ++r, y += kTileOutputs, to += task.y_stride) {
    if (outputs == kTileOutputs) {
      std::copy_n(y, kTileOutputs, to);
    } else {
      std::copy_n(y, outputs, to);
    }
  }
}

/// Block b for the rows of a panel, kRows or fewer in a tile.
template <int64_t kBits, int64_t kParts, bool kMinima, int kRows>
void multiply_panel(const GroupedTask<InputTile>& task, int64_t b, int64_t first, int64_t rows) {
  constexpr auto kTile = std::make_integer_sequence<int, kRows>();
  alignas(64) float y[kGroupedPanelRows * kTileOutputs];
  Chunk chunk;
  const int64_t tiles = (rows + kGroupedTileRows - 1) / kGroupedTileRows;
  const InputTile* const x = task.x + first / kGroupedTileRows * task.groups;
  const uint8_t* const block = task.w + b * task.layout.block_bytes(task.groups);
  for (int64_t g = 0; g < task.groups; g += kChunkGroups) {
    fill_chunk<kBits>(task, block, g, chunk);
    for (int64_t t = 0; t < tiles; ++t) {
      for (int64_t half = 0; half < 2; ++half)
        add_half<kBits, kParts, kMinima>(kTile, x + t * task.groups + g, chunk, half, g == 0,
                                         y + t * kGroupedTileRows * kTileOutputs);
    }
  }
  put_block(task, b, first, rows, y);
}

template <int64_t kBits, int64_t kParts, bool kMinima, int kRows>
void multiply_with(const GroupedTask<InputTile>& task, int64_t begin, int64_t end) {
  set_up_byte_tiles<TileForm<kBits, kParts>>(kRows);
  for (int64_t first = 0; first < task.rows; first += kGroupedPanelRows) {
    const int64_t rows = std::min(kGroupedPanelRows, task.rows - first);
    for (int64_t b = begin; b < end; ++b)
      multiply_panel<kBits, kParts, kMinima, kRows>(task, b, first, rows);
  }
  release_byte_tiles();
}

template <int64_t kBits, int64_t kParts, bool kMinima>
void multiply_grouped(const GroupedTask<InputTile>& task, int64_t begin, int64_t end) {
  constexpr int kFewRows = 8;
  if (task.rows <= kFewRows) {
    multiply_with<kBits, kParts, kMinima, kFewRows>(task, begin, end);
  } else {
    multiply_with<kBits, kParts, kMinima, kGroupedTileRows>(task, begin, end);
  }
}

}  // namespace

void grouped_multiply(const GroupedTask<InputTile>& task, int64_t begin, int64_t end) {
  const GroupFormat& format = task.layout.format();
  const bool minima = has_minima(format);
  if (format.bits == 4) {
    multiply_grouped<4, 1, true>(task, begin, end);
  } else if (format.parts == 1) {
    (minima ? multiply_grouped<8, 1, true> : multiply_grouped<8, 1, false>)(task, begin, end);
  } else {
    (minima ? multiply_grouped<8, 2, true> : multiply_grouped<8, 2, false>)(task, begin, end);
  }
}

#else

void grouped_multiply(const GroupedTask<InputTile>& /*task*/, int64_t /*begin*/, int64_t /*end*/) {
  check_failed("a CPU with AMX", __FILE__, __LINE__);
}

#endif

}  // namespace evo::ops
