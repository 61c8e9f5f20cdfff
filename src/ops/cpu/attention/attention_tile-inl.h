// What the forward and backward pass of attention over one tile of queries share.
// Re-included per target.
#if defined(EVO_OPS_ATTENTION_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVO_OPS_ATTENTION_TILE_INL_H_
#undef EVO_OPS_ATTENTION_TILE_INL_H_
#else
#define EVO_OPS_ATTENTION_TILE_INL_H_
#endif

#include <cmath>
#include <memory>
#include <utility>

#include "ops/cpu/attention/attention-inl.h"
#include "ops/cpu/simd/math-inl.h"
#include "tensor/tensor.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {

/// A value for each query of a tile.
using LaneArray = std::array<float, kTileWidth>;

inline constexpr int64_t kScoreFloats = int64_t{ops::kWindowKeys} * kTileWidth;

/// Scratch memory of a tile: arrays of floats.
class Scratch {
 public:
  explicit Scratch(int64_t floats)
      : storage_(tensor::pooled_bytes(floats * sizeof(float))),
        next_(static_cast<float*>(storage_.get())) {}

  float* take(int64_t floats) { return std::exchange(next_, next_ + floats); }

 private:
  std::shared_ptr<void> storage_;
  float* next_;
};

/// A tile of queries of one kv head and its way through the keys.
class TileWalk {
 public:
  TileWalk(const AttentionCall& call, const QueryTile& queries, int kv_head)
      : call_(call), queries_(queries), kv_head_(kv_head), windows_(call, queries) {}

  [[nodiscard]] int head_size() const { return call_.layout.head_size; }
  [[nodiscard]] int64_t panel_floats() const { return int64_t{head_size()} * kTileWidth; }
  [[nodiscard]] float scale() const { return call_.layout.scale(); }
  [[nodiscard]] float cap() const { return call_.layout.score_cap; }
  [[nodiscard]] int count() const { return queries_.count; }
  /// Small tiles leave the second vector of lanes alone.
  [[nodiscard]] bool is_narrow() const { return queries_.count <= kLanes; }

  bool next(KeyWindow& window) { return windows_.next(window); }

  /// The query head of each lane in rows of `stride` heads of `size` numbers.
  template <class Float>
  [[nodiscard]] std::array<Float*, kTileWidth> heads(Float* rows, int64_t stride, int size) const {
    const int group = call_.group();
    std::array<Float*, kTileWidth> found;
    for (int lane = 0; lane < kTileWidth; ++lane) {
      const int64_t query = queries_.query(lane);
      found[lane] = rows + query / group * stride + (kv_head_ * group + query % group) * size;
    }
    return found;
  }
  /// ... in arrays shaped like qkv and like the output.
  template <class Float>
  [[nodiscard]] std::array<Float*, kTileWidth> input_heads(Float* qkv) const {
    return heads(qkv, call_.layout.row_cols(), head_size());
  }
  template <class Float>
  [[nodiscard]] std::array<Float*, kTileWidth> output_heads(Float* out) const {
    return heads(out, call_.layout.q_cols(), head_size());
  }

  /// The window's keys and values, one per row.
  [[nodiscard]] StridedMatrix keys(const KeyWindow& window) const {
    const KeyValueView& view = view_of(window);
    return {view.keys + offset(view, window), view.row_stride, 1};
  }
  [[nodiscard]] StridedMatrix values(const KeyWindow& window) const {
    const KeyValueView& view = view_of(window);
    return {view.values + offset(view, window), view.row_stride, 1};
  }

 private:
  [[nodiscard]] const KeyValueView& view_of(const KeyWindow& window) const {
    return window.in_context ? call_.context : call_.self;
  }
  [[nodiscard]] int64_t offset(const KeyValueView& view, const KeyWindow& window) const {
    return window.begin * view.row_stride + int64_t{kv_head_} * head_size();
  }

  const AttentionCall& call_;
  QueryTile queries_;
  int kv_head_;
  KeyWindows windows_;
};

/// Takes all tiles through their windows side by side: tiles of one text meet the same keys at the
/// same time, which then come from cache.
template <class Tile>
void walk_together(std::vector<Tile>& tiles) {
  for (bool more = true; more;) {
    more = false;
    for (Tile& tile : tiles) more |= tile.step();
  }
}

/// out [count, lanes] = heads [count, head_size] panel [head_size, lanes]; heads are keys or
/// values.
template <int kVectors>
void multiply_heads(const StridedMatrix& heads, const float* panel, const KeyWindow& window,
                    int head_size, float* out) {
  multiply<kVectors>({.a = heads,
                      .b = panel,
                      .b_row = kTileWidth,
                      .c = out,
                      .c_row = kTileWidth,
                      .rows = window.count,
                      .depth_begin = 0,
                      .depth_end = head_size,
                      .accumulate = false},
                     WholeVector(), AllLanes());
}

/// sums [head_size, lanes] += heads^T [head_size, count] weights [count, lanes]; a lane only gets
/// what it sees.
template <int kVectors>
void add_weighted(const StridedMatrix& heads, const float* weights, const KeyWindow& window,
                  int head_size, float* sums) {
  multiply_seen<kVectors>({.a = {heads.data, heads.column, heads.row},
                           .b = weights,
                           .b_row = kTileWidth,
                           .c = sums,
                           .c_row = kTileWidth,
                           .rows = head_size,
                           .depth_begin = 0,
                           .depth_end = window.count,
                           .accumulate = true},
                          window);
}

/// Scores s of a window's `count` keys become cap tanh(s / cap).
template <int kVectors>
void cap_scores(float* scores, int count, float cap) {
  const FloatTag d;
  for (int k = 0; k < count; ++k) {
    for (int v = 0; v < kVectors; ++v) {
      float* const at = scores + k * kTileWidth + v * kLanes;
      hn::Store(SoftCap(d, hn::Load(d, at), hn::Set(d, cap)), d, at);
    }
  }
}

/// Calls fn(k) for the keys that some lane does not see.
template <class Fn>
HWY_INLINE void for_each_hidden(const KeyWindow& window, const Fn& fn) {
  for (int k = 0; k < window.common_begin; ++k) fn(k);
  for (int k = window.common_end; k < window.count; ++k) fn(k);
}

}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#endif  // include guard
