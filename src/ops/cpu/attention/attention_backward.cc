#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention/attention_backward.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "base/threads/parallel.h"
#include "ops/cpu/attention/attention_tile-inl.h"
#include "ops/cpu/simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

/// rows [count, row_size] = scale * heads, padded with zeros.
void load_rows(const std::array<const float*, kTileWidth>& heads, int count, int size, float scale,
               int64_t row_size, float* rows) {
  const FloatTag d;
  const auto factor = hn::Set(d, scale);
  for (int lane = 0; lane < count; ++lane) {
    float* row = rows + lane * row_size;
    std::fill_n(row, row_size, 0.0f);
    for_each_vector(d, static_cast<size_t>(size), [&](size_t i, auto access) HWY_ATTR {
      access.store(hn::Mul(factor, access.load(d, heads[lane] + i)), d, row + i);
    });
  }
}

/// The gradient of a tile. The weights are computed again, window by window, from the logarithm of
/// their sum that the forward pass kept.
class BackwardTile {
 public:
  BackwardTile(const AttentionCall& call, const AttentionGradient& gradient,
               const QueryTile& queries, int kv_head)
      : walk_(call, queries, kv_head),
        qkv_(call.qkv),
        dqkv_(gradient.dqkv),
        row_size_((walk_.head_size() + kLanes - 1) / kLanes * kLanes),
        scratch_(3 * walk_.panel_floats() + 2 * kTileWidth * row_size_ + 2 * kScoreFloats) {
    for (float** panel : {&queries_, &dout_, &dqueries_}) {
      *panel = scratch_.take(walk_.panel_floats());
    }
    for (float** rows : {&query_rows_, &dout_rows_}) *rows = scratch_.take(kTileWidth * row_size_);
    for (float** scores : {&weights_, &dscores_}) *scores = scratch_.take(kScoreFloats);

    load(walk_.input_heads(call.qkv), walk_.scale(), queries_, query_rows_);
    load(walk_.output_heads(gradient.dout), 1.0f, dout_, dout_rows_);
    find_mean(walk_.output_heads(gradient.out));
    const auto kept = walk_.heads(gradient.log_sums, call.layout.query_heads, 1);
    for (int lane = 0; lane < kTileWidth; ++lane) log_sum_[lane] = *kept[lane];
    std::fill_n(dqueries_, walk_.panel_floats(), 0.0f);
  }

  /// Goes through the next window; false if there was none.
  bool step() {
    KeyWindow window;
    if (!walk_.next(window)) return false;
    walk_.is_narrow() ? attend<1>(window) : attend<2>(window);
    return true;
  }

  void finish() {
    for (int64_t i = 0; i < walk_.panel_floats(); ++i) dqueries_[i] *= walk_.scale();
    store_panel<true>(dqueries_, walk_.head_size(), walk_.count(), walk_.input_heads(dqkv_));
  }

 private:
  using Heads = std::array<const float*, kTileWidth>;

  void load(const Heads& heads, float scale, float* panel, float* rows) const {
    load_panel(heads, walk_.head_size(), scale, panel);
    load_rows(heads, walk_.count(), walk_.head_size(), scale, row_size_, rows);
  }

  /// mean = dout . out: the sum over keys of weight * (dout . value), as out is the sum of
  /// weight * value.
  void find_mean(const Heads& out) {
    const FloatTag d;
    float* panel = dqueries_;  // not yet in use
    load_panel(out, walk_.head_size(), 1.0f, panel);
    for (int lane = 0; lane < kTileWidth; lane += kLanes) {
      auto sum = hn::Zero(d);
      for (int i = 0; i < walk_.head_size(); ++i) {
        const int64_t at = int64_t{i} * kTileWidth + lane;
        sum = hn::MulAdd(hn::Load(d, dout_ + at), hn::Load(d, panel + at), sum);
      }
      hn::Store(sum, d, mean_.data() + lane);
    }
  }

  /// Adds what the queries give to the keys and values of a window, and these to the queries.
  template <int kVectors>
  void attend(const KeyWindow& window) {
    const int size = walk_.head_size();
    const StridedMatrix keys = walk_.keys(window);
    const StridedMatrix values = walk_.values(window);
    multiply_heads<kVectors>(keys, queries_, window, size, weights_);
    if (walk_.cap() > 0) cap_scores<kVectors>(weights_, window.count, walk_.cap());
    multiply_heads<kVectors>(values, dout_, window, size, dscores_);
    for (int v = 0; v < kVectors; ++v) find_dscores(window, v * kLanes);
    add_weighted<kVectors>(keys, dscores_, window, size, dqueries_);
    add_to_gradient(keys, dscores_, query_rows_, window);
    add_to_gradient(values, weights_, dout_rows_, window);
  }

  /// From scores and dout . value of one vector of lanes: weights = exp(score - log_sum) and
  /// dscores = weight * (dout . value - mean), times 1 - (score / cap)^2 if scores are capped; 0
  /// where a lane does not see the key.
  void find_dscores(const KeyWindow& window, int first_lane) {
    const FloatTag d;
    const auto log_sum = hn::Load(d, log_sum_.data() + first_lane);
    const auto mean = hn::Load(d, mean_.data() + first_lane);
    for (int k = 0; k < window.count; ++k) {
      float* weight = weights_ + k * kTileWidth + first_lane;
      float* dscore = dscores_ + k * kTileWidth + first_lane;
      const auto score = hn::Load(d, weight);
      const auto w = Exp(d, hn::Sub(score, log_sum));
      hn::Store(w, d, weight);
      auto slope = hn::Mul(w, hn::Sub(hn::Load(d, dscore), mean));
      if (walk_.cap() > 0) {
        const auto part = hn::Div(score, hn::Set(d, walk_.cap()));
        slope = hn::Mul(slope, hn::NegMulAdd(part, part, hn::Set(d, 1.0f)));
      }
      hn::Store(slope, d, dscore);
    }
    const SeeingLanes seeing{window};
    for_each_hidden(window, [&](int k) HWY_ATTR {
      const auto sees = seeing.row(k, first_lane).sees;
      for (float* values : {weights_, dscores_}) {
        float* value = values + k * kTileWidth + first_lane;
        hn::Store(hn::IfThenElseZero(sees, hn::Load(d, value)), d, value);
      }
    });
  }

  /// Gradient of heads (keys or values) += weights [count, lanes] rows [lanes, head_size].
  void add_to_gradient(const StridedMatrix& heads, const float* weights, const float* rows,
                       const KeyWindow& window) {
    multiply_wide({.a = {weights, kTileWidth, 1},
                   .b = rows,
                   .b_row = row_size_,
                   .c = dqkv_ + (heads.data - qkv_),
                   .c_row = heads.row,
                   .rows = window.count,
                   .depth_begin = 0,
                   .depth_end = walk_.count(),
                   .accumulate = true},
                  walk_.head_size());
  }

  TileWalk walk_;
  const float* qkv_;
  float* dqkv_;
  int64_t row_size_;  // head_size rounded up to whole vectors
  Scratch scratch_;
  float* queries_;     // [head_size, lanes], scaled
  float* dout_;        // [head_size, lanes]
  float* dqueries_;    // [head_size, lanes], of the scaled queries
  float* query_rows_;  // [lanes, row_size], scaled
  float* dout_rows_;   // [lanes, row_size]
  float* weights_;     // [kWindowKeys, lanes]
  float* dscores_;     // [kWindowKeys, lanes]
  alignas(64) LaneArray log_sum_;
  alignas(64) LaneArray mean_;
};

void backward(const AttentionCall& call, const AttentionGradient& gradient) {
  const auto tiles = ops::query_tiles(call.ranges, call.group(), kTileWidth);
  const auto groups = ops::independent_groups(call.ranges, call.group(), tiles);
  const int64_t count = std::ssize(groups);
  parallel_items(count * call.layout.kv_heads, [&](int64_t item) {
    const int kv_head = static_cast<int>(item / count);
    const std::vector<QueryTile>& group = groups[item % count];
    std::vector<BackwardTile> batch;
    batch.reserve(ops::kBatchTiles);
    for (int64_t n = 0; n < ops::batch_count(group, ops::kBatchTiles); ++n) {
      batch.clear();
      for (const QueryTile& tile : ops::nth_batch(group, ops::kBatchTiles, n)) {
        batch.emplace_back(call, gradient, tile, kv_head);
      }
      walk_together(batch);
      for (BackwardTile& tile : batch) tile.finish();
    }
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace evo::ops {

HWY_EXPORT(backward);

void attention_backward(const AttentionCall& call, const AttentionGradient& gradient) {
  HWY_DYNAMIC_DISPATCH(backward)(call, gradient);
}

}  // namespace evo::ops
#endif  // HWY_ONCE
