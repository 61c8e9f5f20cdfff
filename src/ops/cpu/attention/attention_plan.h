// How attention cuts up its work: which queries share SIMD lanes, which keys they meet in which
// order, and which parts of the gradient are independent. Indices only, no arithmetic on values.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/attention.h"

namespace evo::ops {

/// One call of attention.
struct AttentionCall {
  const HeadLayout& layout;
  std::span<const KeyRange> ranges;  // [N]
  const float* qkv;                  // [N, row_cols]
  KeyValueView context;              // what context ranges index
  KeyValueView self;                 // the keys and values of qkv, which self ranges index

  /// Query heads per kv head.
  [[nodiscard]] int group() const { return layout.query_heads / layout.kv_heads; }
};

/// What the gradient needs besides, and where it is added.
struct AttentionGradient {
  const float* out;       // [N, H e]
  const float* log_sums;  // [N, H]  logarithm of the sum over keys of exp(score)
  const float* dout;      // [N, H e]
  float* dqkv;            // [N, row_cols]
};

/// Writes out [N, H e] and, unless it is null, log_sums [N, H].
void attention_forward(const AttentionCall& call, float* out, float* log_sums);
void attention_backward(const AttentionCall& call, const AttentionGradient& gradient);

/// The queries of one kv head are numbered row * group + head in group. A tile is a run of them,
/// one per SIMD lane.
struct QueryTile {
  int64_t first;
  int count;

  /// The query in `lane`; lanes beyond the last query repeat it.
  [[nodiscard]] int64_t query(int lane) const { return first + std::min(lane, count - 1); }
};

/// Tiles that meet their keys at the same time, so that keys come from memory once per batch.
inline constexpr int64_t kBatchTiles = 4;
[[nodiscard]] inline int64_t batch_count(std::span<const QueryTile> tiles, int64_t batch_tiles) {
  return (std::ssize(tiles) + batch_tiles - 1) / batch_tiles;
}
[[nodiscard]] inline std::span<const QueryTile> nth_batch(std::span<const QueryTile> tiles,
                                                          int64_t batch_tiles, int64_t n) {
  const auto begin = static_cast<size_t>(n * batch_tiles);
  return tiles.subspan(begin, std::min(static_cast<size_t>(batch_tiles), tiles.size() - begin));
}

/// Tiles of at most `width` queries. Rows of one tile have the same context_begin, so that they
/// meet the same keys.
std::vector<QueryTile> query_tiles(std::span<const KeyRange> ranges, int group, int width);

/// Tiles, in order, grouped such that no key is seen from two groups (keys are rows of the pass):
/// whoever works through a group alone may add to the gradients of all its keys.
std::vector<std::vector<QueryTile>> independent_groups(std::span<const KeyRange> ranges, int group,
                                                       const std::vector<QueryTile>& tiles);

inline constexpr int kMaxTileWidth = 32;  ///< two AVX-512 vectors
inline constexpr int kWindowKeys = 64;    ///< scores of a window and a tile fit the first cache

/// Consecutive keys that the lanes of a tile meet in one step.
struct KeyWindow {
  bool in_context;  ///< context rows, or else rows of the pass
  int64_t begin;    ///< row of the first key
  int count;        ///< at most kWindowKeys

  /// Lane i sees keys [seen_begin[i], seen_end[i]), counted from `begin`.
  alignas(64) std::array<int32_t, kMaxTileWidth> seen_begin;
  alignas(64) std::array<int32_t, kMaxTileWidth> seen_end;
  /// Every lane sees keys [common_begin, common_end).
  int common_begin, common_end;
};

/// The windows in which a tile meets its keys: context first, then rows of the pass. A lane meets
/// its keys in ascending order, a range of up to kWindowKeys in one window and a longer one in
/// windows counted from its begin. Which windows hold a lane's keys thus depends on its own ranges
/// only; windows in which a lane sees nothing must not change it.
class KeyWindows {
 public:
  KeyWindows(const AttentionCall& call, const QueryTile& tile);

  /// False after the last window.
  bool next(KeyWindow& window);

 private:
  /// The keys that each lane sees.
  struct Spans {
    std::array<int32_t, kMaxTileWidth> begin, end;
  };
  /// Lanes [first, last) that share windows of rows [begin, end).
  struct Group {
    int first, last;
    int64_t begin, end;
  };

  [[nodiscard]] Group group_from(int first) const;
  [[nodiscard]] const Spans& spans() const { return in_context_ ? context_ : self_; }

  Spans context_, self_;
  bool in_context_ = true;
  Group group_;
  int64_t begin_;  // of the next window
};

}  // namespace evo::ops
